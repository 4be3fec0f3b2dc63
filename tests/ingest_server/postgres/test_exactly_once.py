"""A batch is settled once: sent again, delivered twice at the same moment, or cut off anywhere in its transaction."""

import asyncio

import asyncpg
import pytest

from ingest_server.errors import SinkError
from ingest_server.model import Batch
from tests.ingest_server.postgres.stores import WAITING, Store, counts, is_idle, store_over, until, waits_for_lock
from tests.make import batch

TABLES = {
    "append": "CREATE TABLE things (id int, v text)",
    "append with a key": "CREATE TABLE things (id int PRIMARY KEY DEFAULT 0, v text)",
    "upsert": "CREATE TABLE things (id int PRIMARY KEY, v text)",
}


@pytest.fixture(params=TABLES)
async def things(request: pytest.FixtureRequest, sql: asyncpg.Connection) -> str:
    await sql.execute(TABLES[request.param])
    return str(request.param)


def some(*more: object) -> Batch:
    return batch(*({"id": number, "v": "x"} for number in range(50)), *more)


async def settled_once(sql: asyncpg.Connection, one: Batch) -> None:
    assert await sql.fetchval("SELECT count(*) FROM things") == 50
    assert await sql.fetchval("SELECT count(*) FROM ingest.batches") == 1
    assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == one.total - 50
    assert await sql.fetchval("SELECT inserted FROM ingest.batches") == 50


@pytest.mark.usefixtures("things")
async def test_a_batch_that_comes_again_is_absorbed(store: Store, sql: asyncpg.Connection) -> None:
    one = some(b"broken")
    first = await store.write(one)
    assert await store.write(one) == await store.write(one)
    again = await store.write(one)
    assert (counts(again), again.id, again.completed_at) == (counts(first), first.id, first.completed_at)
    await settled_once(sql, one)


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize("more", [[], [b"broken"]], ids=["all good", "one broken"])
async def test_two_sinks_that_write_it_at_the_same_moment(
    database: str, store: Store, sql: asyncpg.Connection, more: list[bytes]
) -> None:
    """The ledger is held back, so that both have written, or wait for each other, before either is entered."""
    one = some(*more)
    async with store_over(database) as other:
        await asyncio.gather(store.write(batch({"id": -1})), other.write(batch({"id": -2})))
        await sql.execute("TRUNCATE things, ingest.batches")
        gate = await asyncpg.connect(database)
        transaction = gate.transaction()
        await transaction.start()
        await gate.execute("LOCK TABLE ingest.batches IN SHARE MODE")
        both = [asyncio.ensure_future(sink.write(one)) for sink in (store, other)]
        await waits_for_lock(sql, 2)
        await transaction.rollback()
        await gate.close()
        settled = await asyncio.gather(*both)
    assert counts(settled[0]) == counts(settled[1]) == (50, 0, 0, len(more))
    await settled_once(sql, one)


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize("more", [[], [b"broken"]], ids=["all good", "one broken"])
async def test_many_deliveries_at_once(database: str, sql: asyncpg.Connection, more: list[bytes]) -> None:
    one = some(*more)
    async with store_over(database, size=8) as store:
        settled = await asyncio.gather(*(store.write(one) for _ in range(16)))
    assert {counts(each) for each in settled} == {(50, 0, 0, len(more))}
    await settled_once(sql, one)


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize("turns", range(0, 60, 3))
async def test_a_worker_that_is_cancelled_anywhere_leaves_no_transaction_and_no_half_batch(
    database: str, sql: asyncpg.Connection, turns: int
) -> None:
    one = some(b"broken")
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    async with store_over(database, size=1) as store:
        await store.write(batch({"id": -1}))
        await sql.execute("TRUNCATE things, ingest.batches")
        writing = asyncio.ensure_future(store.write(one))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await until(lambda: is_idle(sql))
        rows = await sql.fetchval("SELECT count(*) FROM things")
        assert (rows, await sql.fetchval("SELECT count(*) FROM ingest.batches")) in ((0, 0), (50, 1))
        # the pool's only connection is free again
        assert counts(await asyncio.wait_for(store.write(one), 10)) == (50, 0, 0, 1)
    await settled_once(sql, one)
    assert not complaints  # of the pool, that it was given back a connection with an open transaction


@pytest.mark.parametrize("at", ["things", "ingest.batches", "ingest.dead_letters"])
async def test_a_worker_that_is_cancelled_while_it_waits_for_a_lock(
    database: str, sql: asyncpg.Connection, at: str
) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY, v text)")
    one = some(b"broken")
    async with store_over(database, size=1) as store:
        async with sql.transaction():
            await sql.execute(f"LOCK TABLE {at} IN SHARE MODE")
            writing = asyncio.ensure_future(store.write(one))
            await waits_for_lock(sql)
            writing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
        await until(lambda: is_idle(sql))
        assert counts(await asyncio.wait_for(store.write(one), 10)) == (50, 0, 0, 1)
    await settled_once(sql, one)


@pytest.mark.parametrize("at", ["things", "ingest.dead_letters", "ingest.batches"])
async def test_a_backend_that_is_terminated_in_its_transaction(store: Store, sql: asyncpg.Connection, at: str) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY, v text)")
    one = some(b"broken")
    async with sql.transaction():
        await sql.execute(f"LOCK TABLE {at} IN SHARE MODE")
        writing = asyncio.ensure_future(store.write(one))
        await waits_for_lock(sql)
        await sql.execute(f"SELECT pg_terminate_backend(pid) FROM ({WAITING}) AS waiting")
        with pytest.raises(SinkError):
            await writing
    assert await sql.fetchval("SELECT count(*) FROM things") == 0
    await store.write(one)
    await settled_once(sql, one)


async def test_a_name_that_is_used_for_other_items_buries_them_once(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY)")
    first = batch({"id": 1})
    await store.write(first)
    other = batch({"id": 2}, {"id": 3}, id=first.id)
    for settled in await asyncio.gather(*(store.write(other) for _ in range(4))):
        assert counts(settled) == (0, 0, 0, 2)
        assert [buried.refusal.code for buried in settled.errors] == ["conflict", "conflict"]
    assert await sql.fetchval("SELECT count(*) FROM things") == 1
    assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == 2


async def test_two_sinks_that_bury_the_same_items_at_the_same_moment(
    database: str, store: Store, sql: asyncpg.Connection
) -> None:
    """Neither error of the letters' key leaves the sink: whoever comes second is sent back by the ledger."""
    await sql.execute("CREATE TABLE things (id int, v text CHECK (v <> 'bad'))")
    one = some({"id": 50, "v": "bad"})
    async with store_over(database) as other:
        gate = await asyncpg.connect(database)
        transaction = gate.transaction()
        await transaction.start()
        await gate.execute("LOCK TABLE ingest.dead_letters IN SHARE MODE")
        both = [asyncio.ensure_future(sink.write(one)) for sink in (store, other)]
        await waits_for_lock(sql, 2)
        await transaction.rollback()
        await gate.close()
        settled = await asyncio.gather(*both)
    assert counts(settled[0]) == counts(settled[1]) == (50, 0, 0, 1)
    await settled_once(sql, one)


async def test_letters_that_outlived_their_name_in_the_ledger_stay_as_they_are(
    store: Store, sql: asyncpg.Connection
) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY, v text CHECK (v <> 'bad'))")
    one = some({"id": 50, "v": "bad"}, b"broken")
    first = await store.write(one)
    letters = await sql.fetch("SELECT * FROM ingest.dead_letters ORDER BY id")
    await sql.execute("TRUNCATE ingest.batches, things")
    again = await store.write(one)
    assert counts(again) == counts(first) == (50, 0, 0, 2)
    assert [buried.dead_letter for buried in again.errors] == [buried.dead_letter for buried in first.errors]
    assert await sql.fetch("SELECT * FROM ingest.dead_letters ORDER BY id") == letters


async def test_owners_may_use_one_name_each(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY)")
    one = batch({"id": 1}, owner="a")
    assert counts(await store.write(one)) == (1, 0, 0, 0)
    assert counts(await store.write(batch({"id": 2}, owner="b", id=one.id))) == (1, 0, 0, 0)
