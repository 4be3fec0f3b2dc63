"""JSON as bytes: what is wrong with an item before any table is asked, and what PostgreSQL's json types would not take."""

import re
from typing import Any

import msgspec
import orjson

MAX_DEPTH = 100
NUL = "holds a NUL character (\\u0000), which PostgreSQL cannot store"
TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"
NOT_ONE_OBJECT = "is not one JSON object"

# Token by token: a pattern for whole texts takes quadratic time for one that never ends.
_BRACKETS = re.compile(rb'\\.|(")|([\[{])|([\]}])', re.DOTALL)
# Escapes are taken away before texts: a pattern that goes over both keeps a state for each escape, 60 times the item's size. A
# text that never ends is taken to the end of the item: looking for its end again from each quote takes quadratic time.
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_TEXT = re.compile(rb'"[^"]*(?:"|\Z)')
_BRACKETS_ALIKE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b'[]{}"'))
# An odd number of backslashes before u0000 is the escape; an even number is text that looks like it.
_NUL_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
# Digits that a 64-bit float always keeps: https://en.wikipedia.org/wiki/Double-precision_floating-point_format
_FLOAT_DIGITS = 15
# After a member's name: what `quoted_number` would quote.
LONG_NUMBER = re.compile(rb"\s*:\s*[-0-9][-+.0-9eE]{15}")
_LONG_RUN = re.compile(rb"[-0-9][-+.0-9eE]{15}")
_NUMBERS = re.compile(rb'\\.|"|([-0-9][-+.0-9eE]*)', re.DOTALL)

_any = msgspec.json.Decoder(msgspec.Raw).decode
members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


def too_deep(raw: bytes, *, below: int = 0) -> bool:
    """Whether this JSON, which stands so many levels below the top, reaches deeper than an item may."""
    room = MAX_DEPTH - below
    return len(raw) > room and raw.count(b"[") + raw.count(b"{") > room and _nests_deeper(raw, room)


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


def quoted_number(raw: bytes) -> bytes | None:
    """A JSON value as a text, where it is a number with more digits than a float keeps; else None."""
    return b'"' + raw + b'"' if len(raw) > _FLOAT_DIGITS and raw[:1] in b"-0123456789" else None


def quoted_numbers(raw: bytes) -> bytes | None:
    """A JSON array with all its numbers as texts, where one has more digits than a float keeps; else None."""
    if _LONG_RUN.search(raw) is None:
        return None
    is_text = False

    def quoted(found: re.Match[bytes]) -> bytes:
        nonlocal is_text
        if found[1]:
            return found[1] if is_text else b'"' + found[1] + b'"'
        if found[0] == b'"':
            is_text = not is_text
        return found[0]

    return _NUMBERS.sub(quoted, raw)


def with_members(item: bytes, replaced: dict[str, bytes]) -> bytes:
    """The item with these members' values instead of its own."""
    return joined({name: bytes(value) for name, value in members(item).items()} | replaced)


def joined(values: dict[str, bytes]) -> bytes:
    """One JSON object of these members, whose values are JSON already."""
    return b"{" + b",".join(orjson.dumps(name) + b":" + value for name, value in values.items()) + b"}"


def _nests_deeper(raw: bytes, room: int) -> bool:
    """By taking away the innermost pairs, level by level: a million brackets one by one would take a second."""
    plain = _ESCAPE.sub(b"", raw) if b"\\" in raw else raw
    left = _TEXT.sub(b"", plain).translate(_BRACKETS_ALIKE, _NO_BRACKETS)
    for _ in range(room):
        if not left:
            return False
        shorter = left.replace(b"[]", b"")
        if len(shorter) == len(left):  # they do not match, or a text does not end: this is no JSON
            return _depth(raw) > room
        left = shorter
    return bool(left)


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    is_text = False
    for match in _BRACKETS.finditer(raw):
        if match[1]:
            is_text = not is_text
        elif is_text:
            continue
        elif match[2]:
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MAX_DEPTH:
                break
        elif match[3]:
            depth -= 1
    return deepest
