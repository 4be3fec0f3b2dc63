"""Files of bodies and files of strings, as requests: every place where a client can put them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote_from_bytes
from uuid import uuid4

from loadtests.errors import PartError

LANDING, TYPED = "corpus_landing", "corpus_typed"
TYPED_COLUMNS = (
    "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, label text, amount numeric, payload jsonb, raw bytea"
)
_MARK = b"corpus"


@dataclass(frozen=True, slots=True)
class Case:
    """One request; `place` says where in it the corpus stands."""

    name: str
    place: str
    path: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    """None: the request is a GET."""
    body: bytes = field(repr=False)


def read_bodies(paths: Sequence[Path]) -> dict[str, bytes]:
    """Every file below these paths whose name ends in .json, as it is. Raises `PartError` where there is none."""
    found = {
        str(file.relative_to(path) if file != path else file.name): file.read_bytes()
        for path in paths
        for file in sorted(path.rglob("*.json") if path.is_dir() else [path])
    }
    if not found:
        raise PartError(
            part="corpora", said="there is no file that ends in .json: name files or directories that hold them"
        )
    return found


def read_strings(paths: Sequence[Path]) -> list[str]:
    """The strings of JSON files that hold an array of them. Raises `PartError`."""
    found: list[str] = []
    for path in paths:
        read = json.loads(path.read_bytes())
        if not isinstance(read, list) or not all(isinstance(one, str) for one in read):
            raise PartError(part="corpora", said=f"{path} holds no array of strings")
        found += read
    return found


def of_bodies(bodies: dict[str, bytes]) -> Iterator[Case]:
    """Each as a whole body, as one item among good ones, and as a value inside an item."""
    for name, body in bodies.items():
        for table in (LANDING, TYPED):
            yield _case(name, "JSON body", table, body, media=b"application/json")
            yield _case(name, "NDJSON body", table, body)
            one = body.replace(b"\r", b" ").replace(b"\n", b" ")
            good = b'{"label": "neighbour"}'
            yield _case(name, "line", table, good + b"\n" + one + b"\n" + good + b"\n")
            yield _case(
                name, "element", table, b"[" + good + b", " + body + b", " + good + b"]", media=b"application/json"
            )
            yield _case(name, "value", table, b'{"payload": ' + one + b"}\n" + good + b"\n")
            yield _case(name, "member", table, b'{"items": [' + body + b"]}", media=b"application/json")


def of_strings(strings: Sequence[str]) -> Iterator[Case]:
    """Each as a value, a key, a table, a crawl's id and a batch's name."""
    for number, text in enumerate(strings):
        name = f"string {number}"
        for table in (LANDING, TYPED):
            for ascii_only in (True, False):
                value = json.dumps(text, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
                yield _case(name, "value", table, b'{"label": ' + value + b"}\n")
                yield _case(name, "key", table, b"{" + value + b": 1}\n")
                yield _case(name, "raw value", table, b'{"raw": ' + value + b', "amount": ' + value + b"}\n")
        raw = text.encode("utf-8", "surrogatepass")
        good = b'{"label": "neighbour"}\n'
        yield Case(
            name, "table", b"/v1/tables/" + quote_from_bytes(raw, safe="").encode() + b"/batches", _headers(), good
        )
        yield Case(name, "table, unquoted", b"/v1/tables/" + raw + b"/batches", _headers(), good)
        yield Case(name, "crawl", _path(LANDING), _headers((b"Ingest-Crawl", raw)), good)
        yield Case(name, "crawl's path", b"/v1/crawls/" + quote_from_bytes(raw, safe="").encode(), (), b"")
        # Nothing else in it, so that the same name comes back with the same body: it is absorbed.
        yield Case(name, "batch's name", _path(LANDING), _headers((b"Idempotency-Key", raw), named=False), good)
        yield Case(name, "dead letters' filter", b"/v1/dead-letters?code=" + quote_from_bytes(raw).encode(), (), b"")


def _case(name: str, place: str, table: str, body: bytes, *, media: bytes = b"application/x-ndjson") -> Case:
    return Case(name, place, _path(table), _headers(media=media), body)


def _path(table: str) -> bytes:
    return f"/v1/tables/{table}/batches".encode()


def _headers(
    *more: tuple[bytes, bytes], media: bytes = b"application/x-ndjson", named: bool = True
) -> tuple[tuple[bytes, bytes], ...]:
    own = ((b"Idempotency-Key", b"%s-%s" % (_MARK, str(uuid4()).encode())),) if named else ()
    return ((b"Content-Type", media), (b"Prefer", b"wait=30"), *own, *more)
