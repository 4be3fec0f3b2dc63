"""A look into journal files that no server holds, for the audit; no batch in them is changed."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ingest_server.model import BatchHead
from ingest_server.queues import connection
from ingest_server.queues.connection import is_damage
from ingest_server.queues.file import VERSION, JournalFile, LeftAlone, lock
from ingest_server.queues.salvage import Salvage


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
            heads = _heads(path)
            if heads is None:
                heads, said = _salvaged(path)
                unread.append(
                    f"{path} is damaged: {said}; the next server settles what can be read, and keeps the file"
                )
        except LeftAlone as left:
            if left.reason is None:
                in_use.append(path)
            else:
                unread.append(f"{path}: {left.reason}")
        except sqlite3.Error as error:
            unread.append(f"{path}: {error}")
        else:
            batches += [(path, head) for head in heads if (head.owner, head.crawl) == (owner, crawl)]
    unread += [_set_aside(path) for path in sorted(folder.glob("journal-*.sqlite3.damaged"))]
    return Orphans(tuple(batches), tuple(in_use), tuple(unread))


def _heads(path: Path) -> list[BatchHead] | None:
    """None where the file is damaged."""
    one = connection.connect(path, create=False)
    try:
        lock(one, path)  # a server that starts at this moment takes the file with its next look
        version = connection.value_of(one, "PRAGMA user_version")
        if version == 0:  # its owner died while making it: nothing was accepted into it
            return []
        if version != VERSION:
            raise LeftAlone(f"its format is {version}, and this version reads {VERSION}")
        return [head for _, head in JournalFile(path, one).heads()]
    except sqlite3.Error as error:
        if is_damage(error):
            return None
        raise
    finally:
        one.close()


def _salvaged(path: Path) -> tuple[list[BatchHead], str]:
    """What the next server would rescue, and how much that is."""
    salvage = Salvage(path, None)
    with closing(salvage.batches()) as batches:
        heads = [batch.head for batch in batches]
    if _is_nothing(salvage):
        return heads, "nothing in it can be read"
    return heads, f"{_count(len(heads), 'batch', 'batches')} can be read, {_unreadable(salvage)}"


def _set_aside(path: Path) -> str:
    salvage = Salvage(path, None)
    try:
        with closing(salvage.batches()) as batches:
            for _ in batches:
                pass  # only the counts are asked for
    except LeftAlone as left:
        return f"{path}: {left.reason or 'somebody has it open'}; keep it until the audit is done"
    except sqlite3.Error as error:
        return f"{path}: {error}; keep it until the audit is done"
    if _is_nothing(salvage):
        return f"{path}: nothing in it could be read when it was set aside; keep it until the audit is done"
    rows = _count(salvage.unreadable, "row of it was", "rows of it were")
    more = "" if salvage.is_exact else ", and pages of it are broken"
    return f"{path}: {rows} not readable when it was set aside{more}; keep it until the audit is done"


def _is_nothing(salvage: Salvage) -> bool:
    return not (salvage.is_exact or salvage.rescued or salvage.unreadable)


def _unreadable(salvage: Salvage) -> str:
    if salvage.is_exact:
        return f"{_count(salvage.unreadable, 'row', 'rows')} cannot"
    return f"{_count(salvage.unreadable, 'row', 'rows')} cannot, and pages of it are broken"


def _count(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
