"""Exactly once in effect: one batch, however many connections and servers are given it, is one copy, dead letters too."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import asyncpg
import pytest

from ingest_server.postgres.embedded.embedded import EmbeddedPostgres
from tests.acceptance.once import BODY, KINDS, NOTHING, counted, empty, make_tables, one_copy, send, servers_over
from tests.asking import Answer, Asker, locked, wire_to
from tests.conftest import dsn_of
from tests.ingest_server.postgres.stores import waits_for_lock
from tests.running import RunningServer

CONNECTIONS = 12
_keys = itertools.count(1)


@pytest.fixture(scope="module")
def two_servers(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningServer]]:
    """Two servers over one database of their own, which the tests here take in turns."""

    async def make() -> None:
        admin = await asyncpg.connect(postgres.dsn)
        await admin.execute("CREATE DATABASE exactly_once TEMPLATE template_ingest")
        await admin.close()
        sql = await asyncpg.connect(dsn_of(postgres, "exactly_once"))
        await make_tables(sql)
        await sql.close()

    asyncio.run(make())
    with servers_over(dsn_of(postgres, "exactly_once"), tmp_path_factory.mktemp("once"), 2) as servers:
        yield servers
        for server in servers:
            code, log = server.terminate()
            assert code == 0
            assert "unexpected" not in log


@pytest.fixture
def askers(two_servers: list[RunningServer]) -> list[Asker]:
    return [Asker(server.port) for server in two_servers]


@pytest.fixture
async def once_sql(postgres: EmbeddedPostgres, two_servers: list[RunningServer]) -> AsyncIterator[asyncpg.Connection]:
    sql = await asyncpg.connect(dsn_of(postgres, "exactly_once"))
    await empty(sql)
    yield sql
    await sql.close()


@pytest.fixture
async def watcher(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    """Looks on while another connection holds a lock."""
    sql = await asyncpg.connect(dsn_of(postgres, "exactly_once"))
    yield sql
    await sql.close()


@pytest.fixture
def key() -> str:
    """A name that no other batch has, which is its id as well."""
    return str(UUID(int=next(_keys), version=4))


async def sent_at_once(askers: list[Asker], kind: str, key: str, wait: int) -> list[Answer]:
    """The batch from many connections, all let go at one moment, the servers taking turns."""
    barrier = threading.Barrier(CONNECTIONS)

    def send_one(asker: Asker) -> Answer:
        barrier.wait(30)
        return send(asker, kind, key, wait=wait)

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        turns = itertools.islice(itertools.cycle(askers), CONNECTIONS)
        return await asyncio.gather(*(loop.run_in_executor(threads, send_one, asker) for asker in turns))


def settled_everywhere(askers: list[Asker], batch: str, kind: str) -> None:
    """Every server says the same of the batch, as the ledger has it."""
    views = [asker.settled(batch) for asker in askers]
    ((inserted, failed),) = one_copy(kind).ledger
    assert {(view["inserted"], view["failed"], len(view["errors"])) for view in views} == {(inserted, failed, failed)}
    assert len({view["completed_at"] for view in views}) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wait", [0, 30])
@pytest.mark.parametrize("servers", [1, 2])
async def test_many_connections_send_one_batch_at_the_same_moment(
    askers: list[Asker], once_sql: asyncpg.Connection, key: str, kind: str, wait: int, servers: int
) -> None:
    asked = askers[:servers]
    answers = await sent_at_once(asked, kind, key, wait)
    assert {answer.status for answer in answers} <= ({207} if wait else {202, 207})
    (batch,) = {answer.json["id"] for answer in answers}
    settled_everywhere(asked, batch, kind)
    assert await counted(once_sql, kind) == one_copy(kind)
    # each server took it once at most, and told every other connection so
    assert sum(answer.headers["Idempotency-Replayed"] != "true" for answer in answers) <= servers
    # and long after, by everybody
    for answer in await sent_at_once(askers, kind, key, wait):
        assert (answer.status, answer.headers["Idempotency-Replayed"], answer.json["id"]) == (207, "true", batch)
    settled_everywhere(askers, batch, kind)
    assert await counted(once_sql, kind) == one_copy(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("held", ["ingest.batches", "ingest.dead_letters"])
async def test_workers_of_two_servers_have_the_batch_in_flight(
    askers: list[Asker], once_sql: asyncpg.Connection, watcher: asyncpg.Connection, key: str, kind: str, held: str
) -> None:
    """What is held back lets both look first: neither finds the batch settled, and each has written, or waits to."""
    for asker in askers:  # both know the table, and the landing table is there
        assert asker.send(kind, {"id": -1}, prefer="wait=30").status == 200
    await once_sql.execute(f"TRUNCATE {kind}, ingest.batches, ingest.dead_letters")
    async with once_sql.transaction():
        await once_sql.execute(f"LOCK TABLE {held} IN SHARE MODE")
        answers = [send(asker, kind, key) for asker in askers]
        assert [answer.status for answer in answers] == [202, 202]
        await waits_for_lock(watcher, 2)
        assert await counted(watcher, kind) == NOTHING
    settled_everywhere(askers, answers[0].json["id"], kind)
    assert await counted(once_sql, kind) == one_copy(kind)
    for asker in askers:
        assert f'ingest_set_aside_total{{table="{kind}"}}' not in asker.get("/metrics").body.decode()


async def test_two_servers_make_one_landing_table(askers: list[Asker], once_sql: asyncpg.Connection, key: str) -> None:
    """Batches of different names meet at a table that is not there yet."""

    def one(turn: int) -> Answer:
        return askers[turn % 2].send("landing", {"turn": turn}, idempotency_key=f"{key}.{turn}", prefer="wait=30")

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        answers = await asyncio.gather(*(loop.run_in_executor(threads, one, turn) for turn in range(CONNECTIONS)))
    assert {answer.status for answer in answers} == {200}
    found = await once_sql.fetch("SELECT (item ->> 'turn')::int AS turn FROM landing ORDER BY 1")
    assert [row["turn"] for row in found] == list(range(CONNECTIONS))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wait", [0, 30])
async def test_the_answer_is_lost_and_the_batch_sent_again(
    askers: list[Asker], once_sql: asyncpg.Connection, key: str, kind: str, wait: int
) -> None:
    """The connection is cut right after the body, and the server has the batch although it could tell nobody."""
    with wire_to(askers[0].port) as wire:
        wire.begin_batch(kind, len(BODY), f"Idempotency-Key: {key}", f"Prefer: wait={wait}")
        wire.write(BODY)
    while askers[0].get(f"/v1/batches/{key}").status == 404:
        pass
    for asker in askers:
        answer = send(asker, kind, key, wait=30)
        assert (answer.status, answer.headers["Idempotency-Replayed"]) == (207, "true")
    settled_everywhere(askers, key, kind)
    assert await counted(once_sql, kind) == one_copy(kind)


async def test_whoever_waits_for_the_answer_hangs_up(
    askers: list[Asker], once_sql: asyncpg.Connection, key: str
) -> None:
    async with locked(once_sql, "keyless"):
        with wire_to(askers[0].port) as wire:
            wire.begin_batch("keyless", len(BODY), f"Idempotency-Key: {key}", "Prefer: wait=60")
            wire.write(BODY)
            batch = send(askers[0], "keyless", key)
        again = send(askers[0], "keyless", key)
        assert (again.status, again.headers["Idempotency-Replayed"]) == (202, "true")
        assert again.json["id"] == batch.json["id"]
    settled_everywhere(askers[:1], again.json["id"], "keyless")
    assert await counted(once_sql, "keyless") == one_copy("keyless")


@pytest.mark.parametrize("sent", [0, 1, len(BODY) // 2, len(BODY) - 1])
async def test_a_body_that_was_cut_leaves_no_name_and_no_item(
    askers: list[Asker], once_sql: asyncpg.Connection, key: str, sent: int
) -> None:
    with wire_to(askers[0].port) as wire:
        wire.begin_batch("keyless", len(BODY), f"Idempotency-Key: {key}")
        wire.write(BODY[:sent])
    answer = send(askers[0], "keyless", key, wait=30)
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (207, None)
    assert await counted(once_sql, "keyless") == one_copy("keyless")
