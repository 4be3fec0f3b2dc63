"""Reads what a crawl left in its spool (docs/protocol of the folder: format 1), and changes nothing there.

The crawl's side writes it with a room of its own; tests/contracts/test_spool_reader.py holds the two together.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import orjson
import platformdirs

from ingest_server.model import CrawlClose

FORMAT = 1
_REFUSED = "refused"
_WHOLE, _SPLIT = ".ndjson", ".split.ndjson"


@dataclass(frozen=True, slots=True)
class Left:
    """A batch's file: `items` are its whole lines. `is_split`: it is sent as its halves only."""

    id: UUID
    table: str
    items: int
    path: Path
    is_split: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A batch that a server refused for good, with the problem."""

    id: UUID
    table: str
    items: int
    path: Path
    problem: str


@dataclass(frozen=True, slots=True)
class Tallied:
    """A closed batch as the crawl wrote it down."""

    id: UUID
    table: str
    items: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the crawl. `is_held`: the crawl still runs, or somebody sends its leftovers right now."""

    path: Path
    started_at: str
    is_held: bool
    left: tuple[Left, ...]
    tallied: tuple[Tallied, ...]
    not_encodable: int
    dropped: int
    close: CrawlClose | None
    gone: int = 0
    """Items of batches that a long tally names no more: they were delivered, or put into refused/."""

    @property
    def items(self) -> int:
        """How many items the crawl took, by what lies here: exact for a killed crawl too."""
        named = {one.id for one in self.tallied}
        # A half with a file of its own (UUIDv5) was counted with its whole.
        open_ones = sum(one.items for one in self.left if one.id not in named and one.id.version != 5)
        return self.gone + sum(one.items for one in self.tallied) + open_ones + self.not_encodable + self.dropped


@dataclass(frozen=True, slots=True)
class Spools:
    """What the directories hold of one crawl. `unread` says what could not be read, and why."""

    directories: tuple[Path, ...]
    runs: tuple[Run, ...] = ()
    refused: tuple[Refused, ...] = ()
    unread: tuple[str, ...] = field(default=())


def usual_directories() -> tuple[Path, ...]:
    """Where crawls of this user keep their spools unless told otherwise: one for each of Scrapy's BOT_NAMEs."""
    root = platformdirs.user_state_path("scrapy-batching")
    try:
        return tuple(sorted(place for place in root.iterdir() if place.is_dir()))
    except OSError:
        return ()


def read_spools(directories: Sequence[Path], crawl: str) -> Spools:
    """What these directories hold of the crawl. Never raises for what lies on a disk: `unread` names it."""
    runs: list[Run] = []
    refused: dict[UUID, Refused] = {}
    unread: list[str] = []
    for spool in directories:
        try:
            places = sorted(place for place in spool.iterdir() if place.is_dir())
        except OSError as error:
            unread.append(f"{spool}: {error.strerror or error}")
            continue
        for place in places:
            try:
                if place.name == _REFUSED:
                    refused |= {one.id: one for one in _refused(place, crawl)}
                elif (run := _run(place, crawl, unread.append)) is not None:
                    runs.append(run)
            except OSError as error:  # removed under our eyes, or not ours to read
                if place.exists():
                    unread.append(f"{place}: {error.strerror or error}")
    return Spools(tuple(directories), tuple(runs), tuple(refused.values()), tuple(unread))


def undelivered(batch: UUID, items: int, is_known: Callable[[UUID], bool]) -> Iterator[tuple[UUID, int]]:
    """The parts of a split batch that are known under no name, each with its number of items.

    A half is named UUIDv5 of what it is a half of and its range; neighbours of which no part is known come as one.
    """
    if is_known(batch):
        return
    if items < 2:
        yield batch, items
        return
    middle = items // 2
    parts = [
        (list(undelivered(uuid5(batch, f"{start}-{stop}"), stop - start, is_known)), stop - start)
        for start, stop in ((0, middle), (middle, items))
    ]
    if all(sum(count for _, count in found) == size for found, size in parts):
        yield batch, items
        return
    for found, _ in parts:
        yield from found


def _run(place: Path, crawl: str, unread: Callable[[str], None]) -> Run | None:
    about = _object(place / "about.json")
    if about is None:
        return None  # nobody's, or somebody else's
    if about.get("format") != FORMAT:
        unread(f"{place}: a spool of format {about.get('format')!r}, this version reads format {FORMAT}")
        return None
    if about.get("crawl") != crawl:
        return None
    # The tally first: a batch that is delivered in between is then named without a file, never missed.
    facts = list(_lines(place / "tally.ndjson"))
    left = tuple(_left(place))
    return Run(
        path=place,
        started_at=str(about.get("started_at", "")),
        is_held=_is_held(place / "lock"),
        left=left,
        tallied=tuple(
            Tallied(name, str(fact.get("table", "")), _count(fact, "items"))
            for fact in facts
            if (name := _uuid(fact.get("batch"))) is not None
        ),
        not_encodable=sum(_count(fact, "rejected") for fact in facts),
        dropped=sum(_count(fact, "dropped") for fact in facts),
        close=_close(place / "close.json"),
        gone=sum(_count(fact, "items") for fact in facts if "batch" not in fact),
    )


def _left(place: Path) -> Iterator[Left]:
    for folder in sorted(one for one in place.iterdir() if one.is_dir()):
        about = _object(folder / "table.json")
        if about is None:
            continue
        for file in sorted(folder.iterdir()):
            suffix = _SPLIT if file.name.endswith(_SPLIT) else _WHOLE
            name = _uuid(file.name.removesuffix(suffix)) if file.name.endswith(suffix) else None
            if name is None:
                continue
            with suppress(FileNotFoundError):  # delivered in between
                yield Left(name, str(about.get("table", "")), _count_lines(file), file, suffix == _SPLIT)


def _refused(place: Path, crawl: str) -> Iterator[Refused]:
    for file in sorted(place.glob("*/*.json")):
        about = _object(file) or {}
        name = _uuid(about.get("id"))
        items = file.with_suffix(_WHOLE)
        if about.get("crawl") != crawl or name is None or not items.exists():
            continue
        problem = about.get("problem") or {}
        said = " ".join(str(problem[key]) for key in ("status", "title") if problem.get(key)) or str(
            about.get("reason")
        )
        said += f": {problem['detail']}" if problem.get("detail") else ""
        yield Refused(name, str(about.get("table", "")), _count_lines(items), items, said)


def _close(file: Path) -> CrawlClose | None:
    said = _object(file)
    if said is None:
        return None
    counts = {name: _count(said, name) for name in ("items", "rejected", "dropped", "spooled")}
    return CrawlClose(**counts, reason=str(said["reason"]) if said.get("reason") else None)


def _object(file: Path) -> dict[str, Any] | None:
    try:
        found = orjson.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """Every whole line that is an object; a torn one is nobody's."""
    try:
        lines: Iterable[bytes] = file.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for line in lines:
        with suppress(ValueError):
            found = orjson.loads(line)
            if isinstance(found, dict):
                yield found


def _count_lines(file: Path) -> int:
    with file.open("rb") as opened:
        return sum(piece.count(b"\n") for piece in iter(lambda: opened.read(1 << 20), b""))


def _count(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name, 0)
    return value if isinstance(value, int) else 0


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None


def _is_held(lock: Path) -> bool:
    """Whether somebody holds the run; asked with a shared lock that is given back at once."""
    try:
        opened = os.open(lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(opened)
    return False
