"""Dead letters of a running server, as its commands work with them: pages, batches that are waited for, imports in pieces."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson

from ingest_server.asking.asking import Answer, AskedServer, with_query
from ingest_server.errors import StartRefused

LETTERS = "/v1/dead-letters"
_JSON = {"content_type": "application/json"}
_PAGE = 200
_WAIT_SECONDS = 20
_PIECE_LINES = 1000
_PIECE_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters: what is None does not matter, and an empty column means that none is named."""

    table: str | None = None
    crawl: str | None = None
    code: str | None = None
    column: str | None = None

    @property
    def given(self) -> dict[str, str]:
        """What matters."""
        named = {"table": self.table, "crawl": self.crawl, "code": self.code, "column": self.column}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(slots=True)
class Outcome:
    """What became of retries, in letters; `pending` where nobody waited for their batches."""

    batches: int = 0
    letters: int = 0
    stored: int = 0
    refused: int = 0
    pending: int = 0
    left: list[dict[str, Any]] = field(default_factory=list)

    def add(self, batch: dict[str, Any]) -> None:
        """A batch as it is now."""
        self.batches += 1
        self.letters += batch["total"]
        self.stored += batch["succeeded"]
        self.refused += batch["failed"]
        self.pending += batch["total"] - batch["processed"]

    @property
    def as_json(self) -> dict[str, Any]:
        """For programs."""
        names = ("batches", "letters", "stored", "refused", "pending", "left")
        return {name: getattr(self, name) for name in names}

    @property
    def is_whole(self) -> bool:
        """Whether every letter is stored, or on its way."""
        return not self.refused and not self.left


class Letterbox:
    """Every method raises `StartRefused` where the server cannot be asked or refuses."""

    def __init__(self, server: AskedServer) -> None:
        self._server = server

    def pages(self, wanted: Filter, most: int | None = None) -> Iterator[list[dict[str, Any]]]:
        """The letters, newest first, a page after the other."""
        cursor: str | None = None
        while most is None or most > 0:
            limit = _PAGE if most is None else min(most, _PAGE)
            page = self._got(with_query(LETTERS, **wanted.given, limit=str(limit), cursor=cursor))
            letters, cursor = page["dead_letters"], page["cursor"]
            yield letters
            if cursor is None:
                return
            most = None if most is None else most - len(letters)

    def groups(self, wanted: Filter) -> list[dict[str, Any]]:
        """How many there are by table, code and column."""
        groups: list[dict[str, Any]] = self._got(with_query(f"{LETTERS}/groups", **wanted.given))["groups"]
        return groups

    def show(self, letter: str) -> dict[str, Any]:
        """One letter."""
        found: dict[str, Any] = self._got(_path(letter))
        return found

    def export(self, wanted: Filter) -> Iterator[bytes]:
        """All letters, a line each."""
        return self._server.lines(with_query(LETTERS, **wanted.given), accept="application/x-ndjson")

    def delete(self, letter: str) -> bool:
        """Throw it away. Whether there was one."""
        answer = self._server.ask("DELETE", _path(letter))
        if answer.status not in (204, 404):
            raise self._server.refused(answer)
        return answer.status == 204

    def retry(self, letter: str, item: bytes | None = None) -> dict[str, Any] | None:
        """Its batch; or None where it cannot be retried as it is, or is gone."""
        body = b"{}" if item is None else b'{"item": %s}' % item
        answer = self._server.ask("POST", f"{_path(letter)}/retry", body, **_JSON)
        if answer.status in (404, 422):
            return None
        return self._batch(answer)

    def retry_group(self, wanted: Filter, outcome: Outcome) -> Iterator[dict[str, Any]]:
        """The group's batches, as they are accepted. What is left as it is goes into `outcome`."""
        cursor: str | None = None
        while True:
            body = orjson.dumps(wanted.given | ({} if cursor is None else {"cursor": cursor}))
            answer = self._server.ask("POST", f"{LETTERS}/retry", body, **_JSON)
            if answer.status != 202:
                raise self._server.refused(answer)
            outcome.left += answer.body["left"]
            yield from answer.body["batches"]
            cursor = answer.body["cursor"]
            if cursor is None:
                return

    def settled(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch once it is settled, however long that takes."""
        while batch["completed_at"] is None:
            path = f"/v1/batches/{batch['id']}"
            batch = self._batch(self._server.ask("GET", path, prefer=f"wait={_WAIT_SECONDS}"))
        return batch

    def put_in(self, lines: Iterable[bytes]) -> Iterator[tuple[int, int]]:
        """Import exported lines, piece by piece: how many came in, and how many were there already."""
        first = 1
        for piece in _pieces(lines):
            answer = self._server.ask("POST", LETTERS, b"\n".join(piece), content_type="application/x-ndjson")
            if answer.status != 200:
                raise self._bad_lines(answer, first)
            first += len(piece)
            yield answer.body["imported"], answer.body["existing"]

    def _bad_lines(self, answer: Answer, first: int) -> StartRefused:
        errors = (answer.body or {}).get("errors") or []
        if not errors:
            return self._server.refused(answer)
        said = "; ".join(f"letter {first + error['index']}: {error['message']}" for error in errors[:5])
        remedy = "mend them and import the file again: what is in already is left alone"
        return StartRefused(f"{len(errors)} letters are not as an export has them ({said})", remedy=remedy)

    def _batch(self, answer: Answer) -> dict[str, Any]:
        if answer.status not in (200, 202, 207):
            raise self._server.refused(answer)
        batch: dict[str, Any] = answer.body
        return batch

    def _got(self, path: str) -> Any:
        answer = self._server.ask("GET", path)
        if answer.status != 200:
            raise self._server.refused(answer)
        return answer.body


def _path(letter: str) -> str:
    return f"{LETTERS}/{quote(letter, safe='')}"


def _pieces(lines: Iterable[bytes]) -> Iterator[Sequence[bytes]]:
    """Lines in pieces of a bounded size; blank ones are no lines."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if not line.strip():
            continue
        if piece and (len(piece) >= _PIECE_LINES or size + len(line) > _PIECE_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield piece
