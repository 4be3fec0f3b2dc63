"""One round from its first process to its count."""

import asyncio
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.errors import RunError
from loadtests.faults.audited import audited
from loadtests.faults.checker import Findings, Sent, check
from loadtests.faults.journals import check_journal
from loadtests.faults.leftovers import deliver
from loadtests.faults.needs import Needs, NotPossible
from loadtests.faults.postgres import Postgres
from loadtests.faults.schedule import Moment, Round
from loadtests.faults.world import World, world

_LEAST_ITEMS_PER_SECOND = 500
_PATIENCE_SECONDS = 150
_SETTLE_SECONDS = 90
_LOOK_SECONDS = 0.1


@dataclass(slots=True)
class Outcome:
    """What a round found. `not_run` says why it was not."""

    round: Round
    findings: Findings = field(default_factory=Findings)
    seconds_to_healthy: list[float] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    scrapy_hangs: int = 0
    seconds: float = 0.0
    not_run: str = ""

    @property
    def is_good(self) -> bool:
        return not (self.findings.lost or self.findings.twice or self.breaches)


@dataclass(slots=True)
class Senders:
    """How many crawls and plain senders a round has, and which share of the items the senders get."""

    crawls: int = 2
    senders: int = 1
    share: float = 0.5

    def of(self, items: int) -> list[tuple[str, int]]:
        own = int(items * self.share) if self.senders else 0
        crawls = [("crawl", (items - own) // self.crawls)] * self.crawls
        return crawls + ([("sender", own // self.senders)] * self.senders if own else [])


async def play(
    one: Round,
    *,
    directory: Path,
    postgres: Postgres,
    ports: Sequence[int],
    senders: Senders,
    name: str,
    worlds: list[World],
    broken: Sequence[str] = (),
) -> Outcome:
    """Run it and count. `worlds` is told the world that is open, for the progress bar."""
    began = time.monotonic()
    outcome = Outcome(one)
    try:
        needs = functools.reduce(Needs.and_, (fault.needs for fault in one.faults))
        kinds = senders.of(one.items)
        async with world(directory, postgres, needs=needs, ports=ports, kinds=kinds, name=name, broken=broken) as made:
            worlds[:] = [made]
            outcome.breaches, outcome.notes = made.breaches, made.notes
            outcome.seconds_to_healthy = made.seconds_to_healthy
            await _suffer(one, made)
            await deliver(made)
            await _settled(made)
            await audited(made)
            for server in made.servers:
                await server.stop()
            made.check_memory()
            check_journal(made)
            made.now = "counting"
            outcome.scrapy_hangs = made.scrapy_hangs
            outcome.findings = await count(made)
            outcome.breaches += outcome.findings.breaches
    except NotPossible as error:
        outcome.not_run = error.reason
    except RunError as error:
        outcome.breaches.append(f"the round did not come to its end: {error}")
    outcome.seconds = time.monotonic() - began
    return outcome


async def count(made: World) -> Findings:
    """Everything that anybody took, against database and dead letters."""
    sent = [
        Sent(
            run.crawl,
            run.durable if run.durable is not None else run.witness.ranges(taken=True),
            run.witness.ranges(taken=False),
        )
        for slot in made.everyone
        for run in slot.runs
    ]
    return await made.postgres.run(lambda connection: check(connection, sent), made.database)


async def _suffer(one: Round, made: World) -> None:
    """Send and strike until all is sent and all is healed."""
    made.now = "sending"
    working = [asyncio.create_task(slot.work(), name=slot.name) for slot in made.slots]
    striking = [asyncio.create_task(_strike(one, moment, made), name=moment.fault.name) for moment in one.moments()]
    tasks = [*working, *striking]
    ends = _PATIENCE_SECONDS + one.items / _LEAST_ITEMS_PER_SECOND
    try:
        done, late = await asyncio.wait(tasks, timeout=ends, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        if late:
            made.breach(f"not at its end after {ends:.0f} s: {', '.join(sorted(task.get_name() for task in late))}")
            for slot in made.slots:
                if slot.running is not None:
                    made.breach(f"{slot.running.crawl} still runs: {slot.running.program.tail()[-800:]}")
        else:
            await made.measure()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _strike(one: Round, moment: Moment, made: World) -> None:
    await made.progress(moment.share)
    struck = time.monotonic()
    async with made.hurt(moment.fault.name):
        try:
            await moment.fault.strike(made, moment.chance(one.seed))
        except NotPossible:
            raise
        except Exception as error:
            made.breach(f"{moment.fault.name} did not heal: {type(error).__name__}: {error}")
    await made.measure(struck)
    made.now = "sending"


async def _settled(made: World) -> None:
    """Returns when nothing of any crawl is pending; what a crawl's totals miss is a breach."""
    made.now = "settling"
    ends = time.monotonic() + _SETTLE_SECONDS
    for slot in made.everyone:
        for run in slot.runs:
            while True:
                totals = [found for server in made.servers if (found := await server.totals(made.http, run.crawl))]
                if len(totals) == len(made.servers) and not any(found.get("pending", 0) for found in totals):
                    missing = {found.get("missing") or 0 for found in totals}
                    if run.kind == "crawl" and not run.lost_power and missing != {0}:
                        made.breach(f"crawl {run.crawl}: the server's totals miss {missing} items: {totals[0]}")
                    break
                if run.witness.taken() == 0 or time.monotonic() > ends:
                    if run.witness.taken():
                        made.breach(f"crawl {run.crawl}: not settled within {_SETTLE_SECONDS} s: {totals}")
                    break
                await asyncio.sleep(_LOOK_SECONDS)
