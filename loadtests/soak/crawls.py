"""The crawls of a soak, each a `scrapy` process of its own: a long one, and short ones one after another."""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from loadtests.errors import PartError
from loadtests.soak import steady
from loadtests.soak.plan import Kind, Plan
from loadtests.soak.results import Done
from loadtests.soak.stand import LONG, SHORT, Stand
from spiders.demo.programs import ProgramError, log, running

LONG_CRAWL = "soak-long"
_LOOK_SECONDS = 0.05
_END_SECONDS = 180.0
_CLOSE_SECONDS = 90
_LAST = 5


@dataclass(frozen=True, slots=True)
class Short:
    """A short crawl that has ended: its keys are `run-0`, `run-1`, … below `taken` at least."""

    run: str
    taken: int


class Crawls:
    """What the crawls did is in `shorts` and `done`; `long` is the long one's process while it runs."""

    def __init__(self, stand: Stand, plan: Plan, began: float) -> None:
        self._stand = stand
        self._plan = plan
        self._began = began
        self._chance = random.Random(f"crawls/{plan.seed}")
        self.long: psutil.Process | None = None
        self.shorts: list[Short] = []
        self.done: list[Done] = []

    async def run_long(self, until: asyncio.Event) -> None:
        """Until the event; then it is told to end, and has time to deliver. Raises `PartError` if it ends before."""
        plan = self._plan
        arguments = {"name": LONG, "rate": plan.rate, "keys": plan.keys, "bad_every": plan.bad_every, "seed": plan.seed}
        async with self._crawl("long", LONG_CRAWL, arguments) as program:
            self.long = psutil.Process(program.pid)
            ended, told = asyncio.create_task(program.wait()), asyncio.create_task(until.wait())
            try:
                await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    raise PartError(part="the long crawl", said=f"it ended with exit code {program.returncode}")
                program.send_signal(signal.SIGUSR1)
                await asyncio.wait({ended}, timeout=_END_SECONDS)
            finally:
                self.long = None
                ended.cancel()
                told.cancel()
            _check_end("long", program, self._stand.place)

    async def run_shorts(self, until: asyncio.Event) -> None:
        """One at each of the plan's pauses, every second one killed in the middle, until the event."""
        every = min(self._plan.short_every, self._plan.seconds / 3)
        most = max(20, round(self._plan.short_rate * every / 4))
        for number in range(1_000_000):
            due = self._began + number * every
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - time.monotonic())):
                    await until.wait()
            if until.is_set():
                return
            share = self._chance.uniform(0.2, 0.8) if number % 2 else None
            await self._short(f"s{number}", most, share, until)

    async def run_last(self) -> None:
        """Crawls of one item, until none of the batches that were left behind is in the spool, five at most."""
        for number in range(_LAST):
            await self._short(f"last{number}", 1)
            if not waiting(self._stand.spool):
                return

    async def _short(
        self, run: str, most: int, kill_at: float | None = None, until: asyncio.Event | None = None
    ) -> None:
        taken = self._stand.place / f"{run}.taken"
        arguments = {"name": SHORT, "rate": self._plan.short_rate, "run": run, "most": most, "taken": taken}
        async with self._crawl(run, f"soak-{run}", arguments) as program:
            ended = asyncio.create_task(program.wait())
            ends = time.monotonic() + _END_SECONDS
            is_told = was_killed = False
            try:
                while not ended.done() and time.monotonic() < ends:
                    has = _size(taken)
                    if kill_at is not None and has >= most * kill_at and not was_killed:
                        program.kill()
                        was_killed = True
                    elif until is not None and until.is_set() and 0 < has < most and not is_told:
                        program.send_signal(signal.SIGUSR1)
                        is_told = True
                    await asyncio.wait({ended}, timeout=_LOOK_SECONDS)
            finally:
                ended.cancel()
            if was_killed:
                at = time.monotonic() - self._began
                self.done.append(Done(at, Kind.crawl, 0.0, f"{run} at {_size(taken)} items"))
            else:
                _check_end(run, program, self._stand.place)
            self.shorts.append(Short(run, _size(taken)))

    @asynccontextmanager
    async def _crawl(
        self, name: str, crawl: str, arguments: dict[str, object]
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        settings = {
            "BATCHING_URL": self._stand.url,
            "BATCHING_CRAWL_ID": crawl,
            "BATCHING_SPOOL_DIR": self._stand.spool,
            "BATCHING_BATCH_AGE": 2,
            "BATCHING_RETRY_MAX": 5,
            "BATCHING_CLOSE_TIMEOUT": _CLOSE_SECONDS,
        }
        words = [
            *(word for setting, value in settings.items() for word in ("-s", f"{setting}={value}")),
            *(word for argument, value in arguments.items() for word in ("-a", f"{argument}={value}")),
        ]
        async with running(name, "scrapy", "runspider", steady.__file__, *words, place=self._stand.place) as program:
            yield program


def waiting(spool: Path) -> list[Path]:
    """Batches in the spool, those that were refused or torn among them."""
    return [path for path in spool.rglob("*") if path.suffix in {".ndjson", ".torn"} and path.name != "tally.ndjson"]


def _check_end(name: str, program: asyncio.subprocess.Process, place: Path) -> None:
    if program.returncode != 0:
        late = f"did not end within {_END_SECONDS:.0f} s"
        how = late if program.returncode is None else f"ended with exit code {program.returncode}"
        raise PartError(part=f"crawl {name}", said=str(ProgramError(name, how, log(name, place))))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
