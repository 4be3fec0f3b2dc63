"""The contract's letters: headers and bodies read, batches named, nothing decided."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from operator import methodcaller
from typing import Any, Self
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from ingest_server import retries
from ingest_server.errors import BadRequest, TooLarge, UnsupportedMedia
from ingest_server.model import Form

MAX_WAIT = 60
_NAME = re.compile(r"[\x21-\x7e]{1,255}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAMESPACE = uuid5(NAMESPACE_URL, "urn:scrapy-batching:batch")
BOM = b"\xef\xbb\xbf"
# No possessive quantifiers: before 3.11.5 Python's own were wrong on groups (cpython gh-106052).
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PIECE = re.compile(rf'{_QUOTED}|[^",]+|[",]')
_BARE = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PREFERENCE = re.compile(
    rf"[ \t]*(?P<name>{_BARE})[ \t]*(?:=[ \t]*(?P<value>{_QUOTED}|{_BARE})?[ \t]*)?(?:;.*)?", re.DOTALL
)
# A quote that is never closed is looked for to the end, once for each quote: what is longer than this is no preference.
_PREFER_CHARACTERS = 1024
# Above so many lines, or commas, a body is looked at before it is cut: 64 MiB of line ends or of "0," would become tens of
# millions of objects, and gigabytes.
_MANY_LINES = 100_000
_MANY_COMMAS = 300_000
_MOST_COUNTED = 100_000
_LINE = re.compile(rb"[^ \t\r\n][^\n]*")
_BLANK = b" \t\r\n"
_BETWEEN = re.compile(rb"[ \t\r\n,]*")


def form_of(content_type: str | None) -> Form:
    """Which of the two body forms a Content-Type names. Raises `UnsupportedMedia` for any other, and for another charset."""
    name, *parameters = (part.strip().lower() for part in (content_type or "").split(";"))
    charsets = {part.removeprefix("charset=").strip('"') for part in parameters if part.startswith("charset=")}
    if charsets <= {"utf-8", "utf8"}:
        match name:
            case "application/x-ndjson":
                return "ndjson"
            case "application/json":
                return "json"
    raise UnsupportedMedia("Content-Type is application/x-ndjson or application/json, in UTF-8")


@dataclass(frozen=True, slots=True)
class Preferences:
    """The preferences of RFC 7240 that the contract knows."""

    wait: int | None = None
    strict: bool = False

    @classmethod
    def parse(cls, header: str) -> Self:
        """Read a Prefer header; unknown preferences, and values that make no sense, are ignored. The first of each counts."""
        seen: dict[str, str] = {}
        for element in _elements_of(header[:_PREFER_CHARACTERS]):
            match = _PREFERENCE.fullmatch(element)
            if match is not None:
                value = match["value"] or ""
                if value.startswith('"'):
                    value = re.sub(r"\\(.)", r"\1", value[1:-1])
                seen.setdefault(match["name"].lower(), value)
        wait = seen.get("wait", "")
        seconds = min(int(wait), MAX_WAIT) if re.fullmatch(r"[0-9]+", wait) else None
        return cls(wait=seconds, strict=seen.get("handling", "").lower() == "strict")

    @property
    def applied(self) -> str | None:
        """The Preference-Applied header: what was honoured."""
        words = [f"wait={self.wait}"] * (self.wait is not None) + ["handling=strict"] * self.strict
        return ", ".join(words) or None


def _elements_of(header: str) -> Iterator[str]:
    """A list header's elements: cut at commas, but not inside quotes. A quote that is never closed is a character."""
    element = ""
    for piece in _PIECE.findall(header):
        if piece == ",":
            yield element
            element = ""
        else:
            element += piece
    yield element


def crawl_id(text: str) -> str:
    """A crawl's id, checked. Raises `BadRequest`."""
    if not _NAME.fullmatch(text):
        raise BadRequest("a crawl's id is 1 to 255 visible ASCII characters")
    return text


def batch_id(owner: str, idempotency_key: str) -> UUID:
    """The batch's id: a UUID in lower case as it stands, else UUIDv5 of owner and key. Raises `BadRequest`."""
    key = idempotency_key
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not _NAME.fullmatch(key):
        raise BadRequest("Idempotency-Key is 1 to 255 visible ASCII characters")
    return UUID(key) if _UUID.fullmatch(key) else uuid5(_NAMESPACE, f"{owner}\n{key}")


def fingerprint(body: bytes) -> bytes:
    """What tells two decoded bodies apart."""
    return hashlib.sha256(body).digest()


def split(body: bytes, form: Form, most: int | None = None) -> list[bytes]:
    """The body's items, each as its own bytes, in the order in which they were sent; nothing is said of their validity.

    Raises `TooLarge` where there are more than `most`, and `BadRequest` where a JSON body cannot be parsed at all.
    """
    if form == "retry":
        return retries.items(body)
    body = body.removeprefix(BOM)
    items = lines_of(body) if form == "ndjson" else _elements(body, most)
    if most is None:
        return list(items)
    found = list(islice(items, most + 1))
    if len(found) > most:
        raise too_many(most)
    return found


def too_many(most: int) -> TooLarge:
    """What a batch with more items than `most` is answered."""
    return TooLarge(f"the batch has more than {most} items", limit=most, limit_unit="items")


def lines_of(body: bytes) -> Iterator[bytes]:
    """The lines that are not blank, without the spaces around them."""
    if body.count(b"\n") > _MANY_LINES:
        return (match[0].rstrip(b" \t\r") for match in _LINE.finditer(body))
    return filter(None, map(_stripped, body.split(b"\n")))


_stripped = methodcaller("strip", b" \t\r")


def _elements(body: bytes, most: int | None) -> Iterator[bytes]:
    is_object = body.lstrip()[:1] == b"{"
    try:
        if most is not None and most <= _MOST_COUNTED and body.count(b",") > _MANY_COMMAS:
            _check_count(body, most, is_object=is_object)
        elements = _ITEMS.decode(body).items if is_object else _ARRAY.decode(body)
    except RecursionError:
        raise BadRequest("the body is nested too deeply to be parsed") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Half of a surrogate pair is JSON all the same, and harms its own item only.
        whole = body.replace(b"\\ud", b"\\u0").replace(b"\\uD", b"\\u0")
        if whole != body:
            return _elements_alike(body, whole, most, is_object=is_object)
        raise BadRequest(
            "the body is neither a JSON array of objects nor an object with one member, items; "
            "send application/x-ndjson to have broken items refused one by one"
        ) from None
    return map(bytes, elements)


def _elements_alike(body: bytes, whole: bytes, most: int | None, *, is_object: bool) -> Iterator[bytes]:
    """The elements of a body, cut where they lie in `whole`: as long as the body, and without surrogates."""
    elements = _elements(whole, most)
    if is_object:
        end = len(whole.rstrip(_BLANK)[:-1].rstrip(_BLANK))
        at = end - len(bytes(_WRAPPED.decode(whole).items)) + 1
    else:
        at = whole.index(b"[") + 1
    for element in elements:
        between = _BETWEEN.match(whole, at)
        assert between is not None  # it matches nothing too
        at = between.end() + len(element)
        yield body[between.end() : at]


def _check_count(body: bytes, most: int, *, is_object: bool) -> None:
    """Raise `TooLarge` where the array has more elements. Stops at the first that is too many, and keeps none."""
    array, wrapped = _counters(most)
    try:
        (wrapped if is_object else array).decode(body)
    except msgspec.ValidationError as error:
        if "at most length" in str(error):
            raise too_many(most) from None
        raise


@lru_cache(maxsize=4)
def _counters(most: int) -> tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any]]:
    """Decoders that refuse an array with more than so many elements: msgspec's own limit is looked at after the last one."""
    nothing = msgspec.Raw()
    fields = [(f"f{number}", msgspec.Raw, nothing) for number in range(most)]
    array = msgspec.defstruct("Array", fields, array_like=True, forbid_unknown_fields=True)
    wrapped = msgspec.defstruct("Wrapped", [("items", array)], forbid_unknown_fields=True)
    return msgspec.json.Decoder(array), msgspec.json.Decoder(wrapped)


class _Items(msgspec.Struct, forbid_unknown_fields=True):
    items: list[msgspec.Raw]


class _Wrapped(msgspec.Struct, forbid_unknown_fields=True):
    items: msgspec.Raw


_ITEMS = msgspec.json.Decoder(_Items)
_WRAPPED = msgspec.json.Decoder(_Wrapped)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


def is_json(raw: bytes) -> bool:
    """Whether these bytes are one JSON value in UTF-8, and may stand inside another."""
    try:
        raw.decode()
        _ANY.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


_ANY = msgspec.json.Decoder(msgspec.Raw)
