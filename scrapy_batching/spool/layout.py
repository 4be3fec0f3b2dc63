"""What the spool's format 1 calls its files, and what they are read as. Nothing here writes."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import orjson

FORMAT = 1

ABOUT, LOCK, TALLY, CLOSE, TABLE = "about.json", "lock", "tally.ndjson", "close.json", "table.json"
WHOLE, SPLIT = ".ndjson", ".split.ndjson"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Whose run a folder is. `started_at` is RFC 3339 in UTC."""

    format: int
    crawl: str
    spider: str
    started_at: str
    pid: int
    host: str


@dataclass(frozen=True, slots=True)
class Left:
    """A batch's file: `size` in bytes; `is_split` when it may only be sent as its halves."""

    path: Path
    table: str
    id: UUID
    is_split: bool
    size: int


def read_left(file: Path) -> Left | None:
    """A file in a table's folder as a batch, None if it is something else."""
    is_split = file.name.endswith(SPLIT)
    if not file.name.endswith(WHOLE):
        return None
    try:
        name = UUID(file.name.removesuffix(SPLIT if is_split else WHOLE))
        table = orjson.loads((file.parent / TABLE).read_bytes())["table"]
        return Left(file, str(table), name, is_split, file.stat().st_size)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_draft(path: Path) -> bool:
    """A file that was being written when its writer was killed."""
    return path.name.endswith(".tmp") and path.is_file()


def is_run_name(name: str) -> bool:
    """Whether a run's folder may be called so."""
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


def is_debris(path: Path) -> bool:
    """A run's folder that is being made, or was on its way out when its crawl was killed: nothing of worth is in it."""
    if not (is_run_name(path.name) and path.is_dir()):
        return False
    try:
        return all(one.name == LOCK or one.name.startswith(ABOUT + ".") for one in path.iterdir())
    except FileNotFoundError:
        return True  # its owner removed it in between


def is_bare(folder: Path) -> bool:
    """A table's folder whose crawl was killed before it could say which table it is: no batch is in it."""
    return folder.is_dir() and all(one.name == f"{TABLE}.tmp" for one in folder.iterdir())
