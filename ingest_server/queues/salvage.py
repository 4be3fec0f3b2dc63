"""What can be read of a damaged journal: from its beginning, from its end, and number by number in between."""

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ingest_server.model import Batch, BatchHead
from ingest_server.queues import connection
from ingest_server.queues.connection import Connection
from ingest_server.queues.file import check_meaning, lock, read_head

_ROWS = "SELECT number, head, digest, body FROM batches"
_MOST_LOOKUPS = 1_000_000


class Salvage:
    """The batches of a damaged file that are what was written; `unreadable` counts the rows that are not.

    `lost` are the heads of those rows of which only the body is not, but for those that were told lost before. A
    `destination` of None reads a file whatever database it is meant for.
    """

    def __init__(self, path: Path, destination: str | None) -> None:
        self._path = path
        self._destination = destination
        self.rescued = 0
        self.unreadable = 0
        self.lost: list[BatchHead] = []
        self.is_exact = False
        """Whether every row was met: else pages are broken, and what was on them is not known."""

    def batches(self) -> Generator[Batch, None, None]:
        """One after the other, each once. Raises `LeftAlone` for a file that is somebody else's."""
        one = connection.connect(self._path, create=False)
        try:
            with suppress(sqlite3.DatabaseError):  # no database at all, or one whose first page is broken
                lock(one, self._path)
            with suppress(sqlite3.DatabaseError):
                list(one.execute("PRAGMA writable_schema=ON"))  # else a file that is too short is not read at all
            with suppress(sqlite3.DatabaseError):  # what cannot be read may be ours
                check_meaning(one, self._destination)
            told = _told_lost(one)
            for number, head, digest, body in self._rows(one):
                read = _readable(head, digest)
                if read is not None and body is not None and read.fits(body):
                    self.rescued += 1
                    yield read.with_body(body)
                    continue
                self.unreadable += 1
                if read is not None and number not in told:
                    self.lost.append(read)
        finally:
            one.close()

    def _rows(self, one: Connection) -> Iterator[tuple[Any, ...]]:
        last = first = None
        try:
            for row in one.execute(f"{_ROWS} ORDER BY number"):
                last = row[0]
                yield row
            self.is_exact = True
        except sqlite3.Error:
            self.is_exact = False
        # After a whole scan this finds nothing: the numbers below `first` and above `last` are then none.
        low = 0 if last is None else last + 1
        for row in _until_it_breaks(one, f"{_ROWS} WHERE number >= {low} ORDER BY number DESC"):
            first = row[0]
            yield row
        high = _highest(one) + 1 if first is None else first
        for number in range(low, min(high, low + _MOST_LOOKUPS)):
            try:
                yield from list(one.execute(f"{_ROWS} WHERE number = ?", (number,)))
            except sqlite3.Error:
                yield number, *_head_alone(one, number), None


def _until_it_breaks(one: Connection, sql: str) -> Iterator[tuple[Any, ...]]:
    with suppress(sqlite3.Error):
        yield from one.execute(sql)


def _highest(one: Connection) -> int:
    """The highest number, without its row's body; -1 where it cannot be read."""
    try:
        return int(connection.value_of(one, "SELECT coalesce(max(number), -1) FROM batches"))
    except sqlite3.Error:
        return -1


def _head_alone(one: Connection, number: int) -> tuple[Any, Any]:
    """A row's head and digest, where only the pages of its body are broken."""
    try:
        for head, digest in one.execute("SELECT head, digest FROM batches WHERE number = ?", (number,)):
            return head, digest
    except sqlite3.Error:
        return None, None
    return None, None


def _told_lost(one: Connection) -> frozenset[int]:
    """The numbers that a server has told lost already."""
    try:
        return frozenset(number for (number,) in one.execute("SELECT number FROM lost"))
    except sqlite3.Error:
        return frozenset()


def _readable(head: Any, digest: Any) -> BatchHead | None:
    if not isinstance(head, bytes):
        return None
    try:
        return read_head(head, digest)
    except sqlite3.DatabaseError:
        return None
