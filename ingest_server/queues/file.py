"""One journal file: batches as they arrived, in SQLite, written by its owner alone."""

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import UUID

import orjson

from ingest_server.model import Batch, BatchHead, TableName
from ingest_server.queues import connection
from ingest_server.queues.connection import Connection, value_of

VERSION = 1
_PAGE_BYTES = 16 * 2**10
# A batch lives for a moment: the longer the log, the more pages are written over in it and never reach the file.
_LOG_BYTES = 64 * 2**20

_MOST_ROWS = 64

T = TypeVar("T")

_TABLES = (
    "CREATE TABLE about (destination TEXT NOT NULL)",
    "CREATE TABLE batches (number INTEGER PRIMARY KEY, head BLOB NOT NULL, digest BLOB NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE lost (number INTEGER PRIMARY KEY)",
    "CREATE TABLE probe (id INTEGER PRIMARY KEY, body BLOB NOT NULL)",
)


class LeftAlone(Exception):
    """The file is not this server's to read. `reason` is None where its owner lives, or it has just been removed."""

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason
        super().__init__(reason)


class JournalFile:
    """A file whose lock is held: `locking_mode=EXCLUSIVE` keeps it until `close`, and the kernel frees it at SIGKILL.

    Every method may raise `sqlite3.Error`.
    """

    def __init__(self, path: Path, one: Connection) -> None:
        self.path = path
        self._one = one
        self.waiting = 0
        """Batches in it that are not forgotten."""
        self._number = 0  # of the last batch that was put: only a new file is put into
        self.is_broken = False
        """Whether it could not be written for what is in it."""

    @classmethod
    def create(cls, path: Path, destination: str) -> Self:
        """Make a new file. Raises `LeftAlone` where somebody who looked for files without an owner was faster."""
        one = connection.connect(path, create=True)
        try:
            _set_up(one, f"page_size={_PAGE_BYTES}", "auto_vacuum=INCREMENTAL")
            if value_of(one, "PRAGMA journal_mode=WAL") != "wal":
                raise sqlite3.OperationalError("this file system cannot hold a write-ahead log")
            list(one.execute("BEGIN EXCLUSIVE"))
            for table in _TABLES:
                list(one.execute(table))
            list(one.execute("INSERT INTO about VALUES (?)", (destination,)))
            list(one.execute(f"PRAGMA user_version={VERSION}"))
            list(one.execute("COMMIT"))
        except sqlite3.Error:
            one.close()
            _unlink(path)
            raise
        if not path.exists():
            one.close()
            raise LeftAlone
        sync_folder(path.parent)
        return cls(path, one)

    @classmethod
    def adopt(cls, path: Path, destination: str) -> Self:
        """Take over a file whose owner is gone. Raises `LeftAlone`, and `sqlite3.DatabaseError` where it is damaged."""
        one = connection.connect(path, create=False)
        try:
            lock(one, path)
            if value_of(one, "SELECT count(*) FROM sqlite_master") == 0:  # its owner died while making it
                _unlink(path)
                raise LeftAlone
            check_meaning(one, destination)
            if value_of(one, "SELECT count(*) FROM sqlite_master WHERE type = 'table'") != len(_TABLES):
                raise sqlite3.DatabaseError("its tables are not there")
        except BaseException:
            one.close()
            raise
        return cls(path, one)

    def heads(self) -> list[tuple[int, BatchHead]]:
        """Every batch that waits in it, oldest first, without the bodies. Raises `sqlite3.DatabaseError` for a broken one."""
        rows = list(
            self._one.execute(
                "SELECT number, head, digest FROM batches WHERE number NOT IN (SELECT number FROM lost) ORDER BY number"
            )
        )
        found = [(number, read_head(head, digest)) for number, head, digest in rows]
        self.waiting = len(found)
        return found

    def body(self, number: int) -> bytes | None:
        """A batch's body, or None where there is no such row."""
        body: bytes | None = value_of(self._one, "SELECT body FROM batches WHERE number = ?", (number,))
        return body

    def begin(self) -> None:
        """Begin a transaction."""
        list(self._one.execute("BEGIN IMMEDIATE"))

    def put(self, batches: Sequence[Batch]) -> list[int]:
        """Write batches; their numbers. Few statements: after each of them the thread waits for the interpreter's lock."""
        numbers = []
        for few in _cut(batches):
            values: list[object] = []
            for batch in few:
                self._number += 1
                numbers.append(self._number)
                head = written_head(batch)
                values += (self._number, head, hashlib.sha256(head).digest(), batch.body)
            places = ", ".join(["(?, ?, ?, ?)"] * len(few))
            list(self._one.execute(f"INSERT INTO batches (number, head, digest, body) VALUES {places}", values))
        return numbers

    def forget(self, numbers: Sequence[int]) -> None:
        """Remove batches."""
        for few in _cut(numbers):
            places = ", ".join("?" * len(few))
            list(self._one.execute(f"DELETE FROM batches WHERE number IN ({places})", few))

    def lose(self, number: int) -> None:
        """Keep a batch whose body cannot be read, for whoever looks into the file later, and never give it back."""
        list(self._one.execute("INSERT OR IGNORE INTO lost VALUES (?)", (number,)))

    def probe(self, size: int) -> None:
        """Write so many bytes where there were none, or take them away again (0)."""
        list(self._one.execute("INSERT OR REPLACE INTO probe VALUES (1, zeroblob(?))", (size,)))

    def commit(self) -> None:
        """End the transaction; it is on the disk once this returns."""
        list(self._one.execute("COMMIT"))

    def rollback(self) -> None:
        """Undo the transaction, as far as the disk lets it."""
        try:
            list(self._one.execute("ROLLBACK"))
        except sqlite3.Error:
            return  # SQLite has undone it already

    def shrink(self, keep: int, most: int) -> bool:
        """Give at most so many bytes back to the disk where more than `keep` are free. Whether more is left to do."""
        free = int(value_of(self._one, "PRAGMA freelist_count")) * _PAGE_BYTES
        if free <= keep:
            return False
        self.begin()
        try:
            # One by one: sqlite3 takes one step of a statement that has no columns.
            for _ in range(min(free, most) // _PAGE_BYTES):
                list(self._one.execute("PRAGMA incremental_vacuum(1)"))
            self.commit()
        except sqlite3.Error:
            self.rollback()
            raise
        list(self._one.execute("PRAGMA wal_checkpoint"))
        return free - most > keep

    def lost(self) -> int:
        """Batches in it that cannot be read."""
        return int(value_of(self._one, "SELECT count(*) FROM lost"))

    def close(self) -> None:
        """Give the lock back; the file stays."""
        self._one.close()

    def remove(self) -> None:
        """Remove the file while its lock is held, so that nobody adopts what is about to go."""
        self.path.unlink(missing_ok=True)
        self._one.close()
        _unlink(self.path)
        sync_folder(self.path.parent)


def _cut(things: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), _MOST_ROWS):
        yield things[start : start + _MOST_ROWS]


def lock(one: Connection, path: Path) -> None:
    """Set a connection up and take the file's lock. Raises `LeftAlone` where somebody else has it, or removed the file."""
    try:
        _set_up(one)
        list(one.execute("BEGIN EXCLUSIVE"))
        list(one.execute("COMMIT"))
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or not path.exists():
            raise LeftAlone from None
        raise LeftAlone(f"it cannot be opened: {error}") from None
    if not path.exists():  # its owner removed it between our opening and our locking
        raise LeftAlone


def check_meaning(one: Connection, destination: str | None) -> None:
    """Raise `LeftAlone` for a file of another format, or one that is meant for another database (None: for any)."""
    version = value_of(one, "PRAGMA user_version")
    if version != VERSION:
        raise LeftAlone(f"its format is {version}, and this server reads {VERSION}")
    if destination is None:
        return
    meant_for = value_of(one, "SELECT destination FROM about")
    if meant_for != destination:
        raise LeftAlone(f"it is meant for the database {meant_for}, and this server writes to {destination}")


def _set_up(one: Connection, *pragmas: str) -> None:
    for pragma in (
        "locking_mode=EXCLUSIVE",
        *pragmas,
        "synchronous=FULL",
        "secure_delete=OFF",  # some builds overwrite what is deleted, which costs a sixth of the rate
        f"wal_autocheckpoint={_LOG_BYTES // _PAGE_BYTES}",
        f"journal_size_limit={_LOG_BYTES}",
    ):
        list(one.execute(f"PRAGMA {pragma}"))


def written_head(batch: BatchHead) -> bytes:
    """A head as the file holds it."""
    return orjson.dumps(
        {
            "id": batch.id,
            "owner": batch.owner,
            "table": [batch.table.schema, batch.table.name],
            "crawl": batch.crawl,
            "form": batch.form,
            "total": batch.total,
            "size": batch.size,
            "fingerprint": batch.fingerprint.hex(),
            "strict": batch.strict,
            "created_at": batch.created_at.isoformat(),
        }
    )


def read_head(head: bytes, digest: bytes) -> BatchHead:
    """A head as it was written. Raises `sqlite3.DatabaseError` where it is another one now."""
    if hashlib.sha256(head).digest() != digest:
        raise sqlite3.DatabaseError("a batch's head is not what was written")
    read: dict[str, Any] = orjson.loads(head)
    return BatchHead(
        id=UUID(read["id"]),
        owner=read["owner"],
        table=TableName(*read["table"]),
        crawl=read["crawl"],
        form=read["form"],
        total=read["total"],
        size=read["size"],
        fingerprint=bytes.fromhex(read["fingerprint"]),
        strict=read["strict"],
        created_at=datetime.fromisoformat(read["created_at"]),
    )


def parts_of(path: Path) -> Iterator[Path]:
    """The file, and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-journal"):
        yield path.with_name(path.name + suffix)


def _unlink(path: Path) -> None:
    for part in parts_of(path):
        part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """A new or removed name is on the disk once this returns."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
