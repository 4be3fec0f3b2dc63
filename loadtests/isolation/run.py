"""The rounds: in each of them every kind of batch once, in an order that chance decides, through the server's own sink."""

import asyncio
import contextlib
import datetime as dt
import random
import time
from collections.abc import Callable
from dataclasses import asdict
from uuid import UUID

import asyncpg

from ingest_server import wire
from ingest_server.errors import IngestError
from ingest_server.model import Batch, BatchHead, TableName
from ingest_server.postgres.embedded.embedded import temporary_postgres
from ingest_server.postgres.ledger.schema import migrate
from ingest_server.postgres.sink import PostgresSink
from ingest_server.postgres.tables.plans import Plans
from loadtests.database import fresh_database, run, server_version
from loadtests.errors import CountError, PartError
from loadtests.isolation import counted
from loadtests.isolation.plan import HAVE_ROWS, MODES, REASONS, TABLE, Plan
from loadtests.isolation.results import Result, Run, cells
from loadtests.machine import machine, versions

Tell = Callable[[str, int], None]
"""Told what goes on, and how many batches were written since."""

_NAME = TableName("public", "things")
_SECONDS = 120.0
_MAKE_ROWS = """
INSERT INTO things SELECT n, 0, 1, 'there before', '{}' FROM generate_series(0, $1::int - 1) n
"""


def measure(plan: Plan, database: str | None, tell: Tell) -> Result:
    """Write the batches. Raises `RunError` where one does not settle as it should, or takes longer than two minutes."""
    began = time.perf_counter()
    found = machine()
    with contextlib.ExitStack() as stack:
        root = database or stack.enter_context(temporary_postgres()).dsn
        dsn = stack.enter_context(fresh_database(root))
        postgres = server_version(dsn)
        run(dsn, _prepare)
        runs = asyncio.run(_rounds(plan, dsn, tell))
    return Result(
        scenario="isolation",
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        seconds=time.perf_counter() - began,
        seed=plan.seed,
        arguments=asdict(plan),
        machine=found,
        versions=versions(postgres),
        items=plan.items,
        cells=cells(runs, plan),
        runs=tuple(runs),
    )


async def _prepare(connection: asyncpg.Connection) -> None:
    await migrate(connection)
    await connection.execute(TABLE)


async def _rounds(plan: Plan, dsn: str, tell: Tell) -> list[Run]:
    chance = random.Random(f"isolation/{plan.seed}")
    places = [(mode, reason, bad) for mode in plan.modes for reason in plan.reasons for bad in plan.counts]
    runs = []
    async with asyncpg.create_pool(
        dsn, min_size=1, max_size=1, connection_class=counted.CountedConnection, server_settings=_QUIET
    ) as pool:
        sinks = {mode: _sink(pool, mode) for mode in plan.modes}
        for mode in plan.modes:  # statements are prepared and staging tables made before anything is measured
            await _written(pool, sinks[mode], plan, chance, (mode, plan.reasons[0], 0))
        for number in range(1, plan.rounds + 1):
            for place in chance.sample(places, k=len(places)):
                tell(f"round {number}: {place[0]}, {place[1]}, {place[2]:,} bad", 0)
                statements, seconds = await _written(pool, sinks[place[0]], plan, chance, place)
                runs.append(Run(number, *place, statements, seconds))
                tell("", 1)
    return runs


_QUIET = {"client_min_messages": "warning"}


def _sink(pool: "asyncpg.Pool[asyncpg.Record]", mode: str) -> PostgresSink:
    plans = Plans(pool, models={}, options={_NAME: MODES[mode]}, create_tables=False)
    return PostgresSink(pool, plans, lambda: dt.datetime.now(dt.UTC))


async def _written(
    pool: "asyncpg.Pool[asyncpg.Record]",
    sink: PostgresSink,
    plan: Plan,
    chance: random.Random,
    place: tuple[str, str, int],
) -> tuple[int, float]:
    """Statements and seconds of one batch, which did what it should."""
    mode, reason, bad = place
    async with pool.acquire() as one:
        await one.execute("TRUNCATE things, ingest.batches, ingest.dead_letters")
        if mode in HAVE_ROWS:
            await one.execute(_MAKE_ROWS, plan.items)
        await one.execute("ANALYZE things")
        with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
            await one.execute("CHECKPOINT")
    batch = _batch(chance, plan.body(chance, reason, bad), plan.items)
    before, began = counted.said, time.perf_counter()
    try:
        async with asyncio.timeout(_SECONDS):
            settled = await sink.write(batch)
    except (IngestError, TimeoutError) as error:
        raise PartError(part=f"{mode}, {bad} bad by {reason}", said=f"{type(error).__name__}: {error}") from error
    seconds, statements = time.perf_counter() - began, counted.said - before
    what = f"{mode}, {bad} bad by {reason}"
    _same(f"{what}: items refused", bad, settled.failed)
    _same(f"{what}: items written", plan.items - bad, settled.inserted + settled.updated)
    _same(
        f"{what}: of code {REASONS[reason].code}",
        len(settled.errors),
        sum(buried.refusal.code == REASONS[reason].code for buried in settled.errors),
    )
    return statements, seconds


def _batch(chance: random.Random, body: bytes, items: int) -> Batch:
    return BatchHead(
        id=UUID(int=chance.getrandbits(128), version=4),
        owner="",
        table=_NAME,
        crawl=None,
        form="ndjson",
        total=items,
        size=len(body),
        fingerprint=wire.fingerprint(body),
        strict=False,
        created_at=dt.datetime.now(dt.UTC),
    ).with_body(body)


def _same(what: str, expected: int, found: int) -> None:
    if expected != found:
        raise CountError(what=what, expected=expected, found=found)
