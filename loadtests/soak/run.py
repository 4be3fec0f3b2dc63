"""One soak from start to end: load, faults and looks beside each other, then the end in order, then the count."""

import asyncio
import contextlib
import datetime as dt
import signal
import time
from collections.abc import Callable
from dataclasses import asdict

from loadtests.database import server_version
from loadtests.errors import PartError, RunError
from loadtests.machine import machine, versions
from loadtests.soak.audit import SETTLED, audit
from loadtests.soak.crawls import Crawls
from loadtests.soak.plan import Plan, faults
from loadtests.soak.results import Check, Result
from loadtests.soak.sampler import Sampler, size
from loadtests.soak.stand import Stand, standing
from loadtests.soak.troubles import Troubles
from loadtests.soak.verdict import SERIES, judge

Tell = Callable[[float, str], None]
"""Told four times a second: seconds since the load began, and what is going on."""

_TELL_SECONDS = 0.25
_FIRST_SECONDS = 60


def soak(plan: Plan, tell: Tell) -> Result:
    """Run the plan. The first Ctrl-C or SIGTERM ends it early, in order and with its count; the second ends it at once.

    Raises `RunError` where a part of it did not start or ended before its time.
    """
    found = machine()
    with standing() as stand:
        postgres = server_version(stand.postgres.dsn())
        run = _Run(stand, plan, tell)
        try:
            asyncio.run(run.main())
        except asyncio.CancelledError:
            raise RunError(f"ended at once by a second {run.ended}, so nothing was counted") from None
        stand.stop_server()
        left = Check("journal: MiB left", 0, int(size(stand.journal) / 2**20))
    samples = run.sampler.samples
    return Result(
        scenario="soak",
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        seconds=samples.at[-1],
        seed=plan.seed,
        arguments=asdict(plan),
        machine=found,
        versions=versions(postgres),
        items=next(check.found for check in run.checks if check.what == SETTLED),
        ended=run.ended,
        verdicts=tuple(judge(one, samples.at, samples.series[one.name]) for one in SERIES),
        checks=(*run.checks, left),
        faults=tuple(sorted((*run.troubles.done, *run.crawls.done), key=lambda one: one.at)),
        samples=samples,
    )


class _Run:
    """What goes on beside each other, and its end in order."""

    def __init__(self, stand: Stand, plan: Plan, tell: Tell) -> None:
        self._stand = stand
        self._plan = plan
        self._tell = tell
        self._began = time.monotonic()
        self._phase = ""
        self._early = asyncio.Event()
        self.crawls = Crawls(stand, plan, self._began)
        self.sampler = Sampler(stand, lambda: self.crawls.long, plan.interval, self._began)
        self.troubles = Troubles(stand, plan.seed, self._began)
        self.checks: tuple[Check, ...] = ()
        self.ended = ""

    async def main(self) -> None:
        loop, main = asyncio.get_running_loop(), asyncio.current_task()
        assert main is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled, number, main)
        telling = asyncio.create_task(self._telling(), name="tell")
        try:
            await self._load()
            self._phase = "the last crawls send what was left behind"
            await self.crawls.run_last()
            self._phase = "counting"
            self.checks = await audit(self._stand, self._plan, self.crawls.shorts)
        except ExceptionGroup as group:
            raise _first(group) from group
        finally:
            telling.cancel()

    async def _load(self) -> None:
        over, long_over = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            sampling = group.create_task(self.sampler.run(), name="sample")
            making = group.create_task(self.troubles.run(faults(self._plan.seconds, self._plan.seed)), name="faults")
            shorts = group.create_task(self.crawls.run_shorts(over), name="short crawls")
            group.create_task(self.crawls.run_long(long_over), name="long crawl")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._plan.seconds - (time.monotonic() - self._began)):
                    await self._early.wait()
            making.cancel()
            await asyncio.wait({making})
            await self._something()
            sampling.cancel()
            await asyncio.wait({sampling})
            self._phase = "the crawls end"
            over.set()
            await asyncio.wait({shorts})
            long_over.set()

    async def _something(self) -> None:
        """A crawl that is told to end before it listens would be killed by that; so items must have come before."""
        ends = time.monotonic() + _FIRST_SECONDS
        while not self.sampler.items:
            if time.monotonic() > ends:
                log = (self._stand.place / "server" / "server.log").read_text(errors="replace")[-2000:]
                raise PartError(part="server", said=f"no item was committed in {_FIRST_SECONDS} s\n{log}")
            await asyncio.sleep(_TELL_SECONDS)

    def _signalled(self, number: signal.Signals, main: "asyncio.Task[None]") -> None:
        if self._early.is_set():
            main.cancel()
        self.ended = number.name
        self._early.set()

    async def _telling(self) -> None:
        while True:
            said = self._phase or self.troubles.now or "steady"
            items = f"{self.sampler.items:,} items · {self.sampler.items_per_second:,.0f}/s"
            self._tell(time.monotonic() - self._began, f"{items} · {said}")
            await asyncio.sleep(_TELL_SECONDS)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """The first error of a group; they are of one cause."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
