"""One fault, measured: batches flow, it strikes, it is mended, all that was taken is counted."""

import asyncio
import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from loadtests.faults.postgres import Postgres
from loadtests.faults.proxy import Proxy
from loadtests.outages.faults import Fault
from loadtests.outages.place import TABLES, Place
from loadtests.outages.sender import Sender
from loadtests.server import running_server

_STATEMENT_SECONDS = "3"
_DRAIN_SECONDS = 120
_LOOK_SECONDS = 0.02
_SETTLED = "ingest_batches_settled_total"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`in_flight`: batches at the strike; `waiting`: when it was mended; `resumed`: seconds from then to the next commit."""

    fault: str
    code: str
    seconds: float
    in_flight: int
    waiting: int
    items: int
    lost: int
    twice: int
    buried: int
    resumed: float
    all_settled: float
    is_well: bool

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


async def measured(
    fault: Fault, postgres: Postgres, disk: Path | None, *, number: int, seed: int, seconds: float
) -> Outcome:
    """The fault for so many seconds over a database of its own."""
    proxy = Proxy(postgres.socket)
    place = Place(postgres, f"outage_{number}", proxy, await proxy.start(), disk=disk)
    try:
        await place.make()
        with tempfile.TemporaryDirectory(prefix="outages-") as directory:
            async with _served(place, Path(directory)):
                return await _struck(fault, place, seed, seconds)
    finally:
        await proxy.stop()


@contextlib.asynccontextmanager
async def _served(place: Place, directory: Path) -> AsyncIterator[None]:
    server = running_server(
        directory,
        dsn=place.dsn,
        workers=4,
        modes={"keyed": "upsert", "plain": "append"},
        more=("--statement-timeout", _STATEMENT_SECONDS, "--drain-timeout", "5", "--log-level", "error"),
    )
    # In a thread: the proxy, which it starts through, needs this loop.
    running = await asyncio.to_thread(server.__enter__)
    try:
        place.url = running.url
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as place.http:
            yield
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


async def _struck(fault: Fault, place: Place, seed: int, seconds: float) -> Outcome:
    sender = Sender(place, seed)
    sending = asyncio.create_task(sender.run(), name="sender")
    try:
        await place.until(_SETTLED, 20)
        async with fault.strike(place):
            in_flight = int(await place.figure("ingest_queue_batches"))
            began = time.monotonic()
            await asyncio.sleep(seconds)
            waiting, before = int(await place.figure("ingest_queue_batches")), await place.figure(_SETTLED)
            lasted = time.monotonic() - began
        mended = time.monotonic()
        async with asyncio.timeout(_DRAIN_SECONDS):
            while await place.figure(_SETTLED) <= before:  # noqa: ASYNC110  the server tells when it is asked
                await asyncio.sleep(_LOOK_SECONDS)
            resumed = time.monotonic() - mended
            sender.stop()
            await sending
            while await place.figure("ingest_queue_batches"):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_SECONDS)
        settled = time.monotonic() - mended
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    lost, twice, buried = await _counted(place, sender)
    return Outcome(
        fault=fault.name,
        code=fault.code,
        seconds=round(lasted, 1),
        in_flight=in_flight,
        waiting=waiting,
        items=sum(map(len, sender.taken.values())),
        lost=lost,
        twice=twice,
        buried=buried,
        resumed=round(resumed, 2),
        all_settled=round(settled, 2),
        is_well=not lost and not twice and buried <= fault.may_bury,
    )


async def _counted(place: Place, sender: Sender) -> tuple[int, int, int]:
    """Items that are nowhere, that are there more than once, and that were buried."""
    one = await place.connect()
    try:
        lost = twice = buried = 0
        for table in TABLES:
            there = Counter(row[0] for row in await one.fetch(f"SELECT id FROM {table} WHERE id >= 0"))
            letters = await one.fetch("SELECT raw FROM ingest.dead_letters WHERE table_name = $1", table)
            aside = Counter(int(orjson.loads(row["raw"])["id"]) for row in letters)
            aside = Counter({number: count for number, count in aside.items() if number >= 0})
            lost += len(sender.taken[table] - there.keys() - aside.keys())
            twice += sum(count - 1 for count in (there + aside).values())
            buried += aside.total()
    finally:
        await one.close()
    return lost, twice, buried
