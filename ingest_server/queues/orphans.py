"""A look into journal files that no server holds, for the audit; nothing in them is changed."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from ingest_server.model import BatchHead
from ingest_server.queues import connection
from ingest_server.queues.file import VERSION, JournalFile, LeftAlone, lock


@dataclass(frozen=True, slots=True)
class Orphans:
    """Batches in files without an owner, the files that a running server holds, and what could not be read, and why."""

    batches: tuple[tuple[Path, BatchHead], ...] = ()
    in_use: tuple[Path, ...] = ()
    unread: tuple[str, ...] = ()


def read_orphans(folder: Path, owner: str, crawl: str) -> Orphans:
    """What of one crawl waits there for the next server. A folder that is not there holds nothing."""
    batches: list[tuple[Path, BatchHead]] = []
    in_use: list[Path] = []
    unread: list[str] = []
    for path in sorted(folder.glob("journal-*.sqlite3")):
        try:
            batches += [(path, head) for head in _heads(path) if (head.owner, head.crawl) == (owner, crawl)]
        except LeftAlone as left:
            if left.reason is None:
                in_use.append(path)
            else:
                unread.append(f"{path}: {left.reason}")
        except sqlite3.Error as error:
            unread.append(f"{path}: {error}")
    return Orphans(tuple(batches), tuple(in_use), tuple(unread))


def _heads(path: Path) -> list[BatchHead]:
    one = connection.connect(path, create=False)
    try:
        lock(one, path)  # a server that starts at this moment takes the file with its next look
        version = connection.value_of(one, "PRAGMA user_version")
        if version == 0:  # its owner died while making it: nothing was accepted into it
            return []
        if version != VERSION:
            raise LeftAlone(f"its format is {version}, and this version reads {VERSION}")
        return [head for _, head in JournalFile(path, one).heads()]
    finally:
        one.close()
