"""One run: a real server with a memory limit, honest clients all the time, probes all the time, the attacks one by one."""

import asyncio
import contextlib
import datetime as dt
import math
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import asyncpg
import orjson
import psutil

from ingest_server.postgres.embedded.embedded import temporary_postgres
from loadtests.database import run as on_database
from loadtests.database import server_version
from loadtests.errors import PartError
from loadtests.hostile.attacks import TABLE, TYPED, Attack
from loadtests.hostile.honest import ITEMS, Honest, Rate
from loadtests.hostile.honest import TABLE as HONEST
from loadtests.hostile.probe import Probe, Seen
from loadtests.hostile.results import Result, Row, milliseconds
from loadtests.machine import machine, versions
from loadtests.server import running_server

Tell = Callable[[str], None]
"""Told what begins now; once for each row."""

NOBODY, EVERYBODY = "nobody", "all at once"
_READY_SECONDS = 120
_CALM_SECONDS = 30.0
_LAST_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds` for each attack, `together` for all at once; `share` of each attack's connections; sizes in bytes."""

    attacks: tuple[Attack, ...]
    seconds: float = 12.0
    together: float = 45.0
    share: float = 1.0
    limit: int = 512 * 2**20
    batch_bytes: int = 64 * 2**20


def hostile(plan: Plan, tell: Tell) -> Result:
    """Run the plan. Starts and stops all that it needs; raises `PartError` where a part of it fails."""
    found = machine()
    with temporary_postgres({"fsync": "off"}) as postgres, tempfile.TemporaryDirectory(prefix="loadtests-") as place:
        dsn = postgres.dsn
        on_database(dsn, _make_tables)
        flags = ["--memory-limit", str(plan.limit), "--max-batch-bytes", str(plan.batch_bytes), "--create-tables"]
        with running_server(Path(place), dsn=dsn, workers=4, modes={}, more=flags) as server:
            run = _Run(plan, tell, server.url, server.pid)
            asyncio.run(run.main())
        stored, distinct = on_database(dsn, _count)
        postgres_version = server_version(dsn)
    return Result(
        scenario="hostile",
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        seconds=run.seconds,
        seed=0,
        arguments={**asdict(plan), "attacks": [one.name for one in plan.attacks]},
        machine=found,
        versions=versions(postgres_version),
        limit=plan.limit,
        hard_limit=plan.limit * 3 // 2,
        rows=tuple(run.rows),
        memory=tuple(run.memory),
        named=run.honest.named * ITEMS,
        committed=run.honest.committed,
        stored=stored,
        distinct=distinct,
    )


async def _make_tables(one: "asyncpg.Connection") -> None:
    await one.execute(f"CREATE TABLE {HONEST} (batch int, place int, text text)")
    await one.execute(f"CREATE TABLE {TABLE} (a jsonb, b jsonb)")
    await one.execute(f"CREATE TABLE {TYPED} (numbers float8[])")


async def _count(one: "asyncpg.Connection") -> tuple[int, int]:
    stored = await one.fetchval(f"SELECT count(*) FROM {HONEST}")
    distinct = await one.fetchval(f"SELECT count(*) FROM (SELECT DISTINCT batch, place FROM {HONEST}) AS d")
    return int(stored), int(distinct)


class _Run:
    def __init__(self, plan: Plan, tell: Tell, url: str, pid: int) -> None:
        self._plan = plan
        self._tell = tell
        self._url = url
        self._port = int(url.rsplit(":", 1)[1])
        self._pid = pid
        self._began = time.monotonic()
        self.honest = Honest(url)
        self.rows: list[Row] = []
        self.memory: list[tuple[float, int]] = []

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    async def main(self) -> None:
        probe = Probe(self._port, self._pid, self._began)
        probing = asyncio.create_task(probe.run())
        sending = asyncio.create_task(self.honest.run())
        try:
            plan = self._plan
            await self._row(probe, NOBODY, "honest clients alone", (), plan.seconds)
            for one in plan.attacks:
                await self._row(probe, one.name, one.text, (one,), plan.seconds)
            if len(plan.attacks) > 1:
                await self._row(probe, EVERYBODY, "everything above together", plan.attacks, plan.together)
            self.honest.is_over = True
            async with asyncio.timeout(_LAST_SECONDS):
                await sending
        except TimeoutError:
            raise PartError(part="honest clients", said=f"not all was committed after {_LAST_SECONDS:g} s") from None
        except psutil.NoSuchProcess:
            raise PartError(part="server", said="it ended") from None
        finally:
            for task in (probing, sending):
                task.cancel()
            await asyncio.gather(probing, sending, return_exceptions=True)

    async def _row(self, probe: Probe, name: str, text: str, attacks: Sequence[Attack], seconds: float) -> None:
        self._tell(name)
        async with _attackers(self._port, seconds, self._plan.share, attacks) as go:
            self._keep(await probe.fresh())
            began, rate = self.seconds, Rate(self.honest)
            answers = await go(seconds)
            seen, ended, honest = await probe.fresh(), self.seconds, rate.items_per_second
        self._keep(seen)
        self.rows.append(
            Row(
                name=name,
                text=text,
                connections=sum(max(1, round(one.connections * self._plan.share)) for one in attacks),
                began=began,
                ended=ended,
                answers=answers,
                probes=len(seen.probes),
                unanswered=sum(map(math.isinf, seen.probes)),
                p50=milliseconds(seen.probes, 0.5),
                p99=milliseconds(seen.probes, 0.99),
                longest=milliseconds(seen.probes, 1.0),
                memory_peak=max(size for _, size in seen.memory),
                honest_per_second=honest,
            )
        )
        await self._calm()

    def _keep(self, seen: Seen) -> None:
        self.memory += seen.memory

    async def _calm(self) -> None:
        """What the attack left in the queue is settled before the next begins, if that is soon."""
        ends = time.monotonic() + min(_CALM_SECONDS, 2 * self._plan.seconds)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
            while time.monotonic() < ends:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with http.get(f"{self._url}/metrics") as answer:
                        text = await answer.text()
                    waiting = next(
                        (
                            float(line.split()[1])
                            for line in text.splitlines()
                            if line.startswith("ingest_queue_batches ")
                        ),
                        0.0,
                    )
                    if waiting <= 6:
                        return
                await asyncio.sleep(0.2)


Go = Callable[[float], "asyncio.Future[dict[str, int]]"]


@contextlib.asynccontextmanager
async def _attackers(port: int, seconds: float, share: float, attacks: Sequence[Attack]) -> AsyncIterator[Go]:
    """A process that is ready to attack; what is yielded begins it, and gives all answers by status."""
    if not attacks:
        yield lambda lasting: asyncio.ensure_future(_nothing(lasting))
        return
    words = [str(port), str(seconds), str(share), *(one.name for one in attacks)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtests.hostile.attacker", *words), stdin=PIPE, stdout=PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    reading, writing = process.stdout, process.stdin

    async def go(lasting: float) -> dict[str, int]:
        writing.write(b"\n")
        async with asyncio.timeout(lasting + 60):
            said = orjson.loads(await reading.readline())
        sums: dict[str, int] = {}
        for counts in said.values():
            for status, count in counts.items():
                sums[status] = sums.get(status, 0) + count
        return sums

    try:
        async with asyncio.timeout(_READY_SECONDS):
            await reading.readline()
        yield lambda lasting: asyncio.ensure_future(go(lasting))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _nothing(seconds: float) -> dict[str, int]:
    await asyncio.sleep(seconds)
    return {}
