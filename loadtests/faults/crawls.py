"""The senders of a round: a slot has its number of items, and crawls one after the other until all were yielded."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.faults.programs import Program
from loadtests.faults.witness import Ranges, Witness

_SPIDER = Path(__file__).with_name("spider.py")
_TRIES = 3


@dataclass(slots=True)
class Run:
    """One crawl, or one sender, as a process."""

    crawl: str
    kind: str
    witness: Witness
    program: Program
    lost_power: bool = False
    """Then the crawl's own count is of things that are gone, and only what was durable is asked for."""
    durable: Ranges | None = None
    """What had been synced when the power went; None: whatever was taken."""
    left_well: bool = False
    """It ended by itself, with exit code 0."""


@dataclass(frozen=True, slots=True)
class CrawlWay:
    """How crawls of a round reach the server, and where they keep what they could not deliver."""

    url: str
    place: Path
    spool: Path
    program: Sequence[str] = ("scrapy",)
    """What stands between `python -m` and a crawl's own words."""
    settings: tuple[tuple[str, object], ...] = ()
    start: str = "items"
    """What start() yields: items and requests, or requests alone. Scrapy 2.19 may hang with the former."""


@dataclass(slots=True)
class Slot:
    """One sender after the other. `kind` is crawl or sender; the first crawl is NAME-0, the one after a kill NAME-1."""

    name: str
    kind: str
    items: int
    way: CrawlWay
    breach: Callable[[str], None]
    runs: list[Run] = field(default_factory=list)
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_given_up: bool = False

    @property
    def running(self) -> Run | None:
        return next((run for run in self.runs if run.program.code is None), None)

    @property
    def is_done(self) -> bool:
        """Nothing more will be yielded."""
        return self.is_given_up or self.yielded() >= self.items

    def taken(self) -> int:
        return sum(run.witness.taken() for run in self.runs)

    def yielded(self) -> int:
        return sum(run.witness.yielded() for run in self.runs)

    async def work(self) -> None:
        """Returns when every item was yielded and the last crawl has ended."""
        fruitless = 0
        while (left := self.items - self.yielded()) > 0:
            async with self.changing:
                run = await self.begin(left)
            code = await run.program.wait()
            run.left_well = code == 0
            if code != 0 and not run.program.was_struck:
                self.breach(f"{run.crawl} ended with exit code {code}: {run.program.tail()[-500:]}")
            fruitless = 0 if run.witness.yielded() else fruitless + 1
            if fruitless == _TRIES:
                self.breach(f"{self.name}: {_TRIES} crawls in a row yielded nothing: {run.program.tail()[-500:]}")
                self.is_given_up = True
                return

    async def end(self, seconds: float) -> bool:
        """Whether its last run, which nobody struck, has taken all that it yields within these seconds."""
        run = self.runs[-1]
        try:
            async with asyncio.timeout(seconds):
                run.left_well = await run.program.wait() == 0
        except TimeoutError:
            return False
        return run.left_well

    async def begin(self, items: int) -> Run:
        crawl = f"{self.name}-{len(self.runs)}"
        path = self.way.place / f"{crawl}.seen"
        witness = Witness(path, items)
        words = (self._crawl if self.kind == "crawl" else self._sender)(crawl, path, items)
        run = Run(crawl, self.kind, witness, await Program.start(crawl, *words, place=self.way.place))
        self.runs.append(run)
        return run

    def _crawl(self, crawl: str, witness: Path, items: int) -> list[str]:
        way = self.way
        settings = {
            "BATCHING_URL": way.url,
            "BATCHING_CRAWL_ID": crawl,
            "BATCHING_SPOOL_DIR": way.spool,
            "BATCHING_BATCH_AGE": 1,
            "BATCHING_TIMEOUT": 10,
            "BATCHING_RETRY_BASE": 0.1,
            "BATCHING_RETRY_MAX": 2,
            "BATCHING_CLOSE_TIMEOUT": 60,
            **dict(way.settings),
        }
        return [
            *way.program,
            *("runspider", str(_SPIDER), "-a", f"witness={witness}", "-a", f"crawl={crawl}", "-a", f"items={items}"),
            *("-a", f"start={way.start}"),
            *(word for name, value in settings.items() for word in ("-s", f"{name}={value}")),
        ]

    def _sender(self, crawl: str, witness: Path, items: int) -> list[str]:
        return ["loadtests.faults.sender", self.way.url, crawl, str(witness), str(items)]
