"""The one place where a journal's file is opened. Nothing else may open these files: to close one drops this process's locks."""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol


class Connection(Protocol):
    """What the journal asks of SQLite. It raises `sqlite3.OperationalError` for the disk, `DatabaseError` itself for damage."""

    def execute(self, sql: str, arguments: Sequence[Any] = (), /) -> Iterable[Any]:
        """Run one statement; its rows."""

    def close(self) -> None:
        """End it, and give its locks back."""


def connect(path: Path, *, create: bool) -> Connection:
    """Open the file, or make it; nothing is read or locked yet. It is used by one thread at a time, and waits for no lock."""
    mode = "rwc" if create else "rw"
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=0, check_same_thread=False
    )


def value_of(one: Connection, sql: str, arguments: Sequence[Any] = ()) -> Any:
    """The first column of the first row, or None."""
    rows = list(one.execute(sql, arguments))
    return rows[0][0] if rows else None


def is_damage(error: Exception) -> bool:
    """Whether the file's content is at fault (malformed, or no database), and not the disk, a lock or the room on it."""
    return type(error) is sqlite3.DatabaseError
