"""SQLite over a file system that notes what is durable: a VFS of apsw's, and the journal's `connect` over it."""

# The system's calls and its audit events speak of paths as text.
# ruff: noqa: PTH110, PTH120

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw

from loadtests.faults.power import Notes

_NAME = "noted"
# Of these SQLite itself syncs the folder, together with the file's first sync.
_SYNCS_ITS_FOLDER = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL

Connect = Callable[..., "NotedConnection"]


def connect_over(notes: Notes) -> Connect:
    """A `connect(path, *, create)` as `ingest_server.queues.connection` has it, with its errors. Keep no two in a process."""
    vfs = _Vfs(notes)

    def connect(path: Path, *, create: bool) -> NotedConnection:
        assert vfs is not None  # it must live as long as its connections
        return NotedConnection(path, create=create)

    return connect


class NotedConnection:
    """What the journal asks of a connection: `execute` and `close`; errors are sqlite3's, as the journal knows them."""

    def __init__(self, path: Path, *, create: bool) -> None:
        flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
        self._one: apsw.Connection = _asked(apsw.Connection, os.path.realpath(path), flags=flags, vfs=_NAME)

    def execute(self, sql: str, arguments: Sequence[Any] = (), /) -> Iterable[Any]:
        """Run one statement; its rows."""
        return _rows(_asked(self._one.execute, sql, tuple(arguments)))

    def close(self) -> None:
        """End it."""
        _asked(self._one.close)


def _rows(cursor: apsw.Cursor) -> Iterator[Any]:
    end = object()
    while (row := _asked(next, cursor, end)) is not end:
        yield row


def _asked(ask: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    try:
        return ask(*arguments, **named)
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise sqlite3.DatabaseError(str(error)) from error
    except apsw.ConstraintError as error:
        raise sqlite3.IntegrityError(str(error)) from error
    except (apsw.Error, OSError) as error:
        raise sqlite3.OperationalError(str(error)) from error


class _Vfs(apsw.VFS):
    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        super().__init__(_NAME, base="")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802  SQLite's own names
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None or not self.notes.covers(path):
            return super().xOpen(name, flags)
        if flags[0] & apsw.SQLITE_OPEN_CREATE and not os.path.exists(path):
            self.notes.creating(path)
        return _File(self.notes, path, name, flags)

    def xDelete(self, path: str, syncdir: bool) -> None:  # noqa: N802
        if self.notes.covers(path) and os.path.exists(path):
            self.notes.removing(path)
        super().xDelete(path, syncdir)
        if syncdir and self.notes.covers(path):
            self.notes.folder_synced(os.path.dirname(path))


class _File(apsw.VFSFile):
    def __init__(self, notes: Notes, path: str, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._notes = notes
        self._path = path
        self._syncs_folder = bool(flags[0] & _SYNCS_ITS_FOLDER)
        # Not a second open of the file: to close it would drop the process's locks on it. This one stays open.
        self._descriptor = os.open(path, os.O_RDONLY)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._notes.overwriting(self._descriptor, offset, len(data))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._notes.overwriting(self._descriptor, size, os.fstat(self._descriptor).st_size)
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self._notes.synced(os.fstat(self._descriptor), self._path)
        if self._syncs_folder:
            self._syncs_folder = False
            self._notes.folder_synced(os.path.dirname(self._path))

    def xClose(self) -> None:  # noqa: N802
        super().xClose()
        os.close(self._descriptor)
