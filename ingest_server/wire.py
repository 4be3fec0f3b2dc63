"""The contract's letters: headers and bodies read, batches named, nothing decided."""

import hashlib
import re
from dataclasses import dataclass
from typing import Self
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from ingest_server.errors import BadRequest, UnsupportedMedia
from ingest_server.model import Form

MAX_WAIT = 60
_NAME = re.compile(r"[\x21-\x7e]{1,255}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAMESPACE = uuid5(NAMESPACE_URL, "urn:scrapy-batching:batch")
_BOM = b"\xef\xbb\xbf"
_PREFERENCE = re.compile(r'\s*([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s,;]*))?')


def form_of(content_type: str | None) -> Form:
    """Which of the two body forms a Content-Type names. Raises `UnsupportedMedia` for any other."""
    name, _, parameters = (content_type or "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if charset in ("", "charset=utf-8", "charset=utf8"):
        match name.strip().lower():
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
        for part in re.split(r',(?=(?:[^"]*"[^"]*")*[^"]*$)', header):
            if match := _PREFERENCE.match(part):
                seen.setdefault(match[1].lower(), (match[2] or "").strip('"'))
        wait = seen.get("wait", "")
        seconds = min(int(wait), MAX_WAIT) if re.fullmatch(r"[0-9]{1,9}", wait) else None
        return cls(wait=seconds, strict=seen.get("handling", "").lower() == "strict")

    @property
    def applied(self) -> str | None:
        """The Preference-Applied header: what was honoured."""
        words = [f"wait={self.wait}"] * (self.wait is not None) + ["handling=strict"] * self.strict
        return ", ".join(words) or None


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


def split(body: bytes, form: Form) -> list[bytes]:
    """The body's items, each as its own bytes, in the order in which they were sent; nothing is said of their validity.

    Raises `BadRequest` where a JSON body cannot be parsed at all.
    """
    body = body.removeprefix(_BOM)
    if form == "ndjson":
        return [line for line in (line.strip(b" \t\r") for line in body.split(b"\n")) if line]
    try:
        items = (_ITEMS if body.lstrip()[:1] == b"{" else _ARRAY).decode(body)
    except RecursionError:
        raise BadRequest("the body is nested too deeply to be parsed") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(
            "the body is neither a JSON array of objects nor an object with one member, items; "
            "send application/x-ndjson to have broken items refused one by one"
        ) from None
    return [bytes(item) for item in (items.items if isinstance(items, _Items) else items)]


class _Items(msgspec.Struct, forbid_unknown_fields=True):
    items: list[msgspec.Raw]


_ITEMS = msgspec.json.Decoder(_Items)
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
