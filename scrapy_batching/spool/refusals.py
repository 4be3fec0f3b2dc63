"""What the server refused for good: batches put aside with the problem, until somebody sends them again.

refused/<table>/<id>.ndjson     the items
refused/<table>/<id>.json       id, table, crawl, items, url, reason, problem, refused_at
refused/<table>/<id>.torn       the rest of a last line that was cut off by a full disk or a power loss
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import orjson

from scrapy_batching.errors import SpoolFailed
from scrapy_batching.spool.disk import fsync_folder, make_lasting, table_folder, write_whole
from scrapy_batching.wire.answers import Problem

REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A batch that the server would not have: `url` is where it went, `crawl` whose it is, `items` how many it holds."""

    id: UUID
    table: str
    crawl: str
    items: int
    url: str
    reason: str
    problem: Problem | None


def keep_refused(
    spool: Path,
    refusal: Refusal,
    body: bytes,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Path:
    """Where the batch lies below `spool`/refused, fsynced. Kept twice, it is there once. Raises SpoolFailed."""
    folder = spool / REFUSED / table_folder(refusal.table)
    about = {**asdict(refusal), "id": str(refusal.id), "refused_at": now().isoformat()}
    path = folder / f"{refusal.id}.ndjson"
    try:
        make_lasting(spool)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # First what it is, then what is in it: a reader that finds items finds where they belong.
        write_whole(folder / f"{refusal.id}.json", orjson.dumps(about, option=orjson.OPT_INDENT_2))
        write_whole(path, body)
        for one in (folder, folder.parent, spool):
            fsync_folder(one)
    except OSError as error:
        raise SpoolFailed(spool, error.strerror or str(error)) from error
    return path


def keep_torn(spool: Path, table: str, id: UUID, rest: bytes) -> Path:  # noqa: A002 - a batch's id is called id everywhere
    """Where the rest of a torn last line lies, fsynced. Raises SpoolFailed."""
    path = spool / REFUSED / table_folder(table) / f"{id}.torn"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, rest)
        for one in (path.parent, path.parent.parent, spool):
            fsync_folder(one)
    except OSError as error:
        raise SpoolFailed(spool, error.strerror or str(error)) from error
    return path
