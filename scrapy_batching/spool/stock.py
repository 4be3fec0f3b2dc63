"""What lies in the spool, counted by run and table. Nothing is changed by counting; blocking, without asyncio."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import orjson

from scrapy_batching.spool.folder import RunFolder
from scrapy_batching.spool.layout import Left
from scrapy_batching.spool.refusals import REFUSED
from scrapy_batching.spool.runs import find_runs

State = Literal["waiting", "in use", "refused"]

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Counted:
    """A run's tally: the items of each closed batch by its name, items without a form as JSON, items that were lost.

    `gone` are the items of batches that a long tally names no more, because they are not here any more. `splits` are halves
    that were too large: they may only be sent as their own halves.
    """

    batches: Mapping[UUID, int]
    rejected: int
    dropped: int
    splits: frozenset[UUID]
    gone: int

    @classmethod
    def of(cls, tally: Iterable[Mapping[str, Any]]) -> "Counted":
        """From the lines of `tally.ndjson`; what is no such line is passed over."""
        batches: dict[UUID, int] = {}
        splits: set[UUID] = set()
        gone = 0
        sums = {"rejected": 0, "dropped": 0}
        for line in tally:
            for name in sums:
                found = line.get(name, 0)
                sums[name] += found if isinstance(found, int) else 0
            batch, half, items = _uuid(line.get("batch")), _uuid(line.get("split")), line.get("items")
            if batch is not None and isinstance(items, int):
                batches[batch] = items
            elif isinstance(items, int):
                gone += items
            if half is not None:
                splits.add(half)
        return cls(batches, **sums, splits=frozenset(splits), gone=gone)

    def items_in(self, left: Left) -> int:
        """How many items a batch's file holds: as the tally says, else its whole lines."""
        return self.batches.get(left.id) or lines_in(left.path)


@dataclass(frozen=True, slots=True)
class Put:
    """A batch that was refused for good: its two files and what the second one says."""

    path: Path
    id: UUID
    table: str
    crawl: str
    items: int
    size: int
    url: str
    refused_at: str

    @property
    def about(self) -> Path:
        """The file beside it that says why."""
        return self.path.with_suffix(".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """Batches of one table that lie in one run's folder, or in `refused/` (then `run` is empty and `pid` 0).

    `since` is RFC 3339 in UTC, `size` in bytes; `pid` is of the crawl that made the run.
    """

    run: str
    crawl: str
    spider: str
    since: str
    table: str
    batches: int
    items: int
    size: int
    state: State
    pid: int


def take_stock(spool: Path) -> list[Stock]:
    """Everything that waits, oldest run first, then what was refused."""
    found = [row for run in find_runs(spool)[0] for row in _of_run(run)]
    refused: dict[tuple[str, str], list[Put]] = {}
    for one in refused_in(spool):
        refused.setdefault((one.crawl, one.table), []).append(one)
    return found + [
        Stock(
            run="",
            crawl=crawl,
            spider="",
            since=min(one.refused_at for one in ones),
            table=table,
            batches=len(ones),
            items=sum(one.items for one in ones),
            size=sum(one.size for one in ones),
            state="refused",
            pid=0,
        )
        for (crawl, table), ones in refused.items()
    ]


def refused_in(spool: Path) -> list[Put]:
    """The batches in `refused/`, oldest first; what does not say what it is, is passed over."""
    found = (_put(path) for path in (spool / REFUSED).glob("*/*.ndjson"))
    return sorted((one for one in found if one is not None), key=lambda one: one.id)


def lines_in(path: Path) -> int:
    """How many whole lines a file holds; 0 if it is gone."""
    count = 0
    try:
        with path.open("rb") as file:
            while part := file.read(_READ_BYTES):
                count += part.count(b"\n")
    except FileNotFoundError:
        return 0
    return count


def ends_whole(path: Path) -> bool:
    """Whether a file is empty or ends with LF. Raises OSError."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _of_run(run: RunFolder) -> Iterator[Stock]:
    try:
        about, left, counted = run.about, run.left(), Counted.of(run.tally())
    except OSError:
        return  # it was emptied and removed in the meantime
    if about is None or not left:
        return
    state: State = "in use"
    if run.claim():
        run.release()
        state = "waiting"
    for table in dict.fromkeys(one.table for one in left):
        ones = [one for one in left if one.table == table]
        yield Stock(
            run=run.path.name,
            crawl=about.crawl,
            spider=about.spider,
            since=about.started_at,
            table=table,
            batches=len(ones),
            items=sum(map(counted.items_in, ones)),
            size=sum(one.size for one in ones),
            state=state,
            pid=about.pid,
        )


def _put(path: Path) -> Put | None:
    try:
        about = orjson.loads(path.with_suffix(".json").read_bytes())
        named = {name: str(about[name]) for name in ("table", "crawl", "url", "refused_at")}
        return Put(path=path, id=UUID(path.stem), items=lines_in(path), size=path.stat().st_size, **named)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _uuid(found: object) -> UUID | None:
    try:
        return UUID(found) if isinstance(found, str) else None
    except ValueError:
        return None
