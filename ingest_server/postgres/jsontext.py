"""JSON as bytes: what is wrong with an item before any table is asked, and what PostgreSQL's json types would not take."""

import re
from typing import Any

import msgspec
import orjson

MAX_DEPTH = 100
NUL = "holds a NUL character (\\u0000), which PostgreSQL cannot store"
TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"
NOT_ONE_OBJECT = "is not one JSON object"

_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])', re.DOTALL)
# An odd number of backslashes before u0000 is the escape; an even number is text that looks like it.
_NUL_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
# Digits that a 64-bit float always keeps: https://en.wikipedia.org/wiki/Double-precision_floating-point_format
_FLOAT_DIGITS = 15
# After a member's name: what `is_long_number` says yes to.
LONG_NUMBER = re.compile(rb"\s*:\s*[-0-9][-+.0-9eE]{15}")

_any = msgspec.json.Decoder(msgspec.Raw).decode
members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


def too_deep(raw: bytes, *, below: int = 0) -> bool:
    """Whether this JSON, which stands so many levels below the top, reaches deeper than an item may."""
    room = MAX_DEPTH - below
    return raw.count(b"[") + raw.count(b"{") > room and _depth(raw) > room


def holds_nan(value: bytes) -> bool:
    """Whether these bytes, JSON else, hold a number that is none: pydantic's parser lets it pass."""
    if b"NaN" not in value and b"Infinity" not in value:
        return False
    try:
        _any(value)
    except msgspec.DecodeError:
        return True
    return False


def not_an_object(raw: bytes) -> str | None:
    """None where the bytes are exactly one JSON object in UTF-8 that PostgreSQL's json types read as we do."""
    try:
        raw.decode()
        members(raw)
    except UnicodeDecodeError:
        return "is not UTF-8"
    except msgspec.ValidationError:
        return "is JSON, but not an object"
    except msgspec.DecodeError as error:
        return "holds half of a surrogate pair" if "surrogate" in str(error) else NOT_ONE_OBJECT
    except RecursionError:
        return NOT_ONE_OBJECT
    return None


def holds_nul(value: Any, *, is_json: bool) -> bool:
    """Whether a text, a list of texts, or JSON text holds the one character that PostgreSQL cannot store."""
    if isinstance(value, str):
        return _NUL_ESCAPE.search(value) is not None if is_json else "\0" in value
    return isinstance(value, list) and any(holds_nul(part, is_json=is_json) for part in value)


def is_long_number(raw: bytes) -> bool:
    """Whether this JSON value is a number with more digits than a float keeps."""
    return len(raw) > _FLOAT_DIGITS and raw[:1] in b"-0123456789"


def with_members(item: bytes, replaced: dict[str, bytes]) -> bytes:
    """The item with these members' values instead of its own."""
    return joined({name: bytes(value) for name, value in members(item).items()} | replaced)


def joined(values: dict[str, bytes]) -> bytes:
    """One JSON object of these members, whose values are JSON already."""
    return b"{" + b",".join(orjson.dumps(name) + b":" + value for name, value in values.items()) + b"}"


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for match in _BRACKETS.finditer(raw):
        if match[1]:
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MAX_DEPTH:
                break
        elif match[2]:
            depth -= 1
    return deepest
