"""Exactly once in effect, whenever a server is killed: what was committed is absorbed, what was not comes again.

With the journal the next start brings the batch back by itself. Without it the sender, who was told no more than `memory`,
sends it again. Either way there is one copy.
"""

import asyncio
import contextlib
import http.client
import json
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from ingest_server.settings import Settings
from tests.acceptance.once import GOOD, KINDS, NOTHING, counted, make_tables, one_copy, send, servers_over
from tests.asking import SECONDS, Asker, locked
from tests.ingest_server.postgres.stores import is_idle, until, waits_for_lock
from tests.make import ndjson
from tests.running import PROGRAM, RunningServer
from tests.scrapy_batching.crawls import crawled

KEY = "00000000-0000-4000-8000-000000000001"

# What Python runs as the server: it ends itself by SIGKILL at one place of its first batch.
DIES_AFTER_COMMIT = """
import os, signal
from ingest_server.postgres.sink import PostgresSink
write = PostgresSink.write
async def write_and_die(sink, batch):
    await write(sink, batch)
    os.kill(os.getpid(), signal.SIGKILL)
PostgresSink.write = write_and_die
"""
# COMMIT is sent and its answer never read: nobody here knows whether it was carried out.
DIES_IN_COMMIT = """
import asyncio, os, signal
from ingest_server.postgres.connections.pool import ShapedConnection
execute = ShapedConnection.execute
async def execute_and_die(one, query, *arguments, **more):
    if query != "COMMIT":
        return await execute(one, query, *arguments, **more)
    asyncio.ensure_future(execute(one, query))
    for _ in range({turns}):
        await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGKILL)
ShapedConnection.execute = execute_and_die
"""
RUNS = "from ingest_server.__main__ import main\nmain()\n"


@pytest.fixture
async def tables(sql: asyncpg.Connection) -> None:
    await make_tables(sql)


QUEUES = ["memory", "journal"] if "journal" in Settings.model_fields else ["memory"]


@dataclass(frozen=True)
class World:
    """One database, and servers over it that are killed and started again."""

    database: str
    place: Path
    is_journaled: bool

    def servers(
        self, count: int = 1, *, program: Sequence[str] = PROGRAM
    ) -> AbstractContextManager[list[RunningServer]]:
        journal = {"INGEST_JOURNAL": str(self.is_journaled).lower()} if len(QUEUES) > 1 else {}
        return servers_over(self.database, self.place, count, env=journal, program=program)


@pytest.fixture(params=QUEUES)
async def world(
    request: pytest.FixtureRequest, database: str, sql: asyncpg.Connection, reachable_path: Path
) -> AsyncIterator[World]:
    await make_tables(sql)
    yield World(database, reachable_path, request.param == "journal")
    await until(lambda: is_idle(sql))  # a dead server's transactions too, before the database goes


def unanswered(asker: Asker, kind: str) -> None:
    """Send to a server that dies, perhaps before it answers."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        send(asker, kind, KEY)


async def is_one_copy(sql: asyncpg.Connection, kind: str) -> bool:
    return await counted(sql, kind) == one_copy(kind)


async def redelivered(world: World, asker: Asker) -> None:
    """Return when whatever the journal brought back is settled, and nobody sent it again."""

    async def is_drained() -> bool:
        return "\ningest_queue_batches 0.0\n" in asker.get("/metrics").body.decode()

    if world.is_journaled:
        await until(is_drained)


@pytest.mark.parametrize(
    ("kind", "dying", "is_committed"),
    [
        ("keyless", DIES_IN_COMMIT.format(turns=0), False),
        ("keyless", DIES_IN_COMMIT.format(turns=3), None),
        ("keyed", DIES_IN_COMMIT.format(turns=3), None),
        *((kind, DIES_AFTER_COMMIT, True) for kind in KINDS),
    ],
    ids=[
        "keyless, before COMMIT",
        "keyless, in COMMIT",
        "keyed, in COMMIT",
        *(f"{kind}, after COMMIT" for kind in KINDS),
    ],
)
async def test_a_worker_dies_between_commit_and_acknowledgement(
    world: World, sql: asyncpg.Connection, kind: str, dying: str, is_committed: bool | None
) -> None:
    with world.servers(program=("-c", dying + RUNS)) as (server,):
        unanswered(Asker(server.port), kind)
        assert server.process.wait(SECONDS) == -signal.SIGKILL
    await until(lambda: is_idle(sql))  # whatever the dead server began is over
    there = await counted(sql, kind)
    assert there in {True: [one_copy(kind)], False: [NOTHING], None: [one_copy(kind), NOTHING]}[is_committed]
    with world.servers() as (server,):
        asker = Asker(server.port)
        if world.is_journaled:  # nobody has to send it again
            await until(lambda: is_one_copy(sql, kind))
        await redelivered(world, asker)
        answer = send(asker, kind, KEY, wait=30)
        assert (answer.status, answer.json["id"]) == (207, KEY)
        if world.is_journaled or is_committed:
            assert answer.headers["Idempotency-Replayed"] == "true"
    assert await counted(sql, kind) == one_copy(kind)


@pytest.mark.parametrize("kind", ["keyed", "keyless"])
async def test_a_batch_that_a_worker_holds_is_in_the_journal_until_it_is_committed(
    world: World, sql: asyncpg.Connection, kind: str
) -> None:
    """Others are settled and forgotten meanwhile; then the server is killed, and nothing of this one was committed."""
    with world.servers() as (server,):
        asker = Asker(server.port)
        async with locked(sql, kind):
            answer = send(asker, kind, KEY)
            assert (answer.status, answer.json["ack"]) == (202, "journaled" if world.is_journaled else "memory")
            for _ in range(5):
                assert asker.send("others", {"a": 1}, prefer="wait=30").status == 200
            server.kill()
    assert await counted(sql, kind) == NOTHING
    with world.servers() as (server,):
        asker = Asker(server.port)
        if world.is_journaled:  # nobody has to send it again
            await until(lambda: is_one_copy(sql, kind))
        await redelivered(world, asker)
        assert send(asker, kind, KEY, wait=30).status == 207
    assert await counted(sql, kind) == one_copy(kind)


async def test_what_a_crawl_kept_when_the_server_died_after_commit_is_absorbed_from_its_spool(
    world: World, sql: asyncpg.Connection
) -> None:
    """The crawl was never told that its batch is committed: the next one sends it under the same name, or the journal does."""
    with world.servers(program=("-c", DIES_AFTER_COMMIT + RUNS)) as (server,):
        first = await crawled(world.place, BATCHING_URL=server.url, BATCHING_CLOSE_TIMEOUT=0.2, HOW_MANY=GOOD)
        assert server.process.wait(SECONDS) == -signal.SIGKILL
    # "journaled" is an answer that a crawl may forget its batch for; "memory" is none
    assert len(first.waiting()) in ({0, GOOD} if world.is_journaled else {GOOD})
    assert await sql.fetchval("SELECT count(*) FROM numbers") == GOOD
    with world.servers() as (server,):
        second = await crawled(world.place, BATCHING_URL=server.url, HOW_MANY=3)
        await redelivered(world, Asker(server.port))
    assert second.waiting() == []
    rows = await sql.fetch("SELECT (item ->> 'n')::int AS n FROM numbers ORDER BY n")
    assert [row["n"] for row in rows] == sorted([*range(GOOD), *range(3)])
    assert await sql.fetchval("SELECT sum(total) FROM ingest.batches") == GOOD + 3


@pytest.mark.parametrize("kind", ["keyless", "landing"])
async def test_a_batch_that_was_settled_is_known_to_a_server_that_was_killed_and_started_again(
    world: World, sql: asyncpg.Connection, kind: str
) -> None:
    with world.servers() as (server,):
        first = send(Asker(server.port), kind, KEY, wait=30)
        server.kill()
    with world.servers() as (server,):
        asker = Asker(server.port)
        await redelivered(world, asker)
        for wait in (0, 30):
            again = send(asker, kind, KEY, wait=wait)
            assert (again.status, again.headers["Idempotency-Replayed"], again.json) == (207, "true", first.json)
    assert await counted(sql, kind) == one_copy(kind)


@pytest.mark.parametrize("kind", ["keyed", "keyless"])
async def test_the_transaction_of_a_killed_server_is_still_open_when_the_batch_comes_again(
    world: World, sql: asyncpg.Connection, kind: str
) -> None:
    """PostgreSQL does not know yet that the server is dead: its rows are written and hidden, and meet those of two others."""
    watcher = await asyncpg.connect(world.database)
    try:
        with world.servers(2) as (first, second):
            gate = sql.transaction()
            await gate.start()
            await sql.execute("LOCK TABLE ingest.batches IN SHARE MODE")
            for server in (first, second):
                assert send(Asker(server.port), kind, KEY).status == 202
            await waits_for_lock(watcher, 2)
            first.kill()
            with world.servers() as (third,):
                send(Asker(third.port), kind, KEY)
                await waits_for_lock(watcher, 3)
                assert await counted(watcher, kind) == NOTHING
                await gate.rollback()
                for server in (second, third):
                    assert Asker(server.port).settled(KEY)["inserted"] == GOOD
                    assert send(Asker(server.port), kind, KEY, wait=30).status == 207
    finally:
        await watcher.close()
    assert await counted(sql, kind) == one_copy(kind)


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_is_sent_sent_again_killed_and_started_each_item_is_there_once(
    world: World, sql: asyncpg.Connection, seed: int
) -> None:
    """A sender as the contract wants it: it keeps a batch until it is told `committed`, and sends it again till then."""
    chance = random.Random(seed)
    batches = {
        str(UUID(int=number, version=4)): (
            chance.choice(["keyed", "keyless"]),
            [{"id": 100 * number + each, "v": "bad" if chance.random() < 0.05 else "x"} for each in range(20)],
        )
        for number in range(24)
    }
    fresh, unsure, sure = list(batches), set[str](), set[str]()

    async def sends(server: RunningServer, key: str) -> None:
        kind, items = batches[key]
        unsure.add(key)
        wait = chance.choice([0, 0, 30])
        try:
            answer = await asyncio.to_thread(send, Asker(server.port), kind, key, ndjson(*items), wait)
        except (OSError, http.client.HTTPException):
            return
        assert answer.status in (200, 202, 207)
        if answer.status != 202:
            unsure.discard(key)
            sure.add(key)

    async def lives(server: RunningServer, steps: int) -> None:
        """Some sendings at once, and, but for the last life, an end among them."""
        sending = []
        for _ in range(steps):
            again = [*unsure, *sure]
            known = not fresh or (again and chance.random() < 0.4)
            sending.append(asyncio.create_task(sends(server, chance.choice(again) if known else fresh.pop())))
            for _ in range(chance.randrange(3)):
                await asyncio.to_thread(Asker(server.port).get, "/livez")
        server.kill()
        await asyncio.gather(*sending)

    for _ in range(4):
        with world.servers() as (server,):
            await lives(server, 10)
    with world.servers() as (server,):
        for key in (*sorted(unsure), *fresh):
            kind, items = batches[key]
            assert send(Asker(server.port), kind, key, ndjson(*items), wait=30).status in (200, 207)
    for kind in ("keyed", "keyless"):
        sent = [item for table, items in batches.values() if table == kind for item in items]
        rows = [row["id"] for row in await sql.fetch(f"SELECT id FROM {kind} ORDER BY id")]
        assert rows == sorted(item["id"] for item in sent if item["v"] != "bad")
        raws = await sql.fetch("SELECT raw FROM ingest.dead_letters WHERE table_name = $1", kind)
        assert sorted(json.loads(row["raw"])["id"] for row in raws) == sorted(
            item["id"] for item in sent if item["v"] == "bad"
        )
