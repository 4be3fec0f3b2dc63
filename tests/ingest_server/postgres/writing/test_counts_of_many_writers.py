"""Inserted, updated, unchanged stay true while others write the same keys: a trigger keeps the reference."""

import asyncio
import random

import asyncpg
import pytest

from ingest_server.errors import Contended
from ingest_server.model import Merge, Mode, TableOptions
from tests.ingest_server.postgres.stores import Store, counts, store_over, waits_for_lock
from tests.make import batch

LOGGED = """
CREATE TABLE things (id int PRIMARY KEY, name text NOT NULL DEFAULT 'none', a int, b int);
CREATE TABLE log (op text);
CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (TG_OP); RETURN NULL; END $$;
CREATE TRIGGER log AFTER INSERT OR UPDATE ON things FOR EACH ROW EXECUTE FUNCTION log();
"""
OPTIONS = {
    "upsert": TableOptions(Mode.UPSERT),
    "newest_by": TableOptions(Mode.UPSERT, newest_by="b"),
    "patch": TableOptions(Mode.UPSERT, merge=Merge.PATCH),
    "patch, newest_by": TableOptions(Mode.UPSERT, newest_by="b", merge=Merge.PATCH),
    "ignore": TableOptions(Mode.IGNORE),
}


async def settled(store: Store, items: list[dict[str, object]]) -> tuple[int, int, int, int]:
    """Write the batch, again after each deadlock that it lost."""
    one = batch(*items)
    while True:
        try:
            return counts(await store.write(one))
        except Contended:
            continue


@pytest.mark.parametrize("mode", OPTIONS)
async def test_counts_are_true_under_concurrent_writers(database: str, sql: asyncpg.Connection, mode: str) -> None:
    await sql.execute(f"ALTER DATABASE {await sql.fetchval('SELECT current_database()')} SET deadlock_timeout = '10ms'")
    await sql.execute(LOGGED)
    chance = random.Random(mode)
    waiting = [
        [
            {"id": chance.randrange(60)}
            | {name: chance.randrange(2) for name in ("a", "b") if chance.random() < 0.7}
            | ({"name": chance.choice("xy")} if chance.random() < 0.5 else {})
            for _ in range(20)
        ]
        for _ in range(40)
    ]
    sums = [0, 0, 0, 0]
    async with store_over(database, options={"things": OPTIONS[mode]}) as store:

        async def work() -> None:
            while waiting:
                for place, count in enumerate(await settled(store, waiting.pop())):
                    sums[place] += count

        await asyncio.gather(*(work() for _ in range(4)))
    logged = {row["op"]: row["count"] for row in await sql.fetch("SELECT op, count(*) FROM log GROUP BY op")}
    assert sums[:2] == [logged["INSERT"], logged.get("UPDATE", 0)]
    assert sums[0] == await sql.fetchval("SELECT count(*) FROM things")
    assert (sum(sums), sums[3]) == (800, 0)


@pytest.mark.parametrize("mode", ["upsert", "patch"])
async def test_a_row_that_came_in_between_is_updated_and_not_inserted(
    database: str, sql: asyncpg.Connection, mode: str
) -> None:
    await sql.execute(LOGGED)
    async with store_over(database, options={"things": OPTIONS[mode]}) as store:
        other = sql.transaction()
        await other.start()
        await sql.execute("INSERT INTO things (id, a) VALUES (1, 1)")
        writing = asyncio.create_task(store.write(batch({"id": 1, "b": 2}, {"id": 2})))
        async with store.pool.acquire() as watcher:
            await waits_for_lock(watcher)
        await other.commit()
        assert counts(await writing) == (1, 1, 0, 0)
    assert tuple(await sql.fetchrow("SELECT a, b FROM things WHERE id = 1")) == (1 if mode == "patch" else None, 2)


async def test_patches_of_several_ages_meet_a_row_that_came_in_between_once_more(
    database: str, sql: asyncpg.Connection
) -> None:
    """The row's age lies between theirs: merged without looking at it, the older one would overwrite it."""
    await sql.execute(LOGGED)
    async with store_over(database, options={"things": OPTIONS["patch, newest_by"]}) as store:
        other = sql.transaction()
        await other.start()
        await sql.execute("INSERT INTO things (id, a, b) VALUES (1, 6, 6)")
        one = batch({"id": 1, "a": 5, "b": 5}, {"id": 1, "name": "seven", "b": 7})
        writing = asyncio.create_task(store.write(one))
        async with store.pool.acquire() as watcher:
            await waits_for_lock(watcher)
        await other.commit()
        with pytest.raises(Contended):
            await writing
        assert counts(await store.write(one)) == (0, 1, 1, 0)
    assert tuple(await sql.fetchrow("SELECT name, a, b FROM things")) == ("seven", 6, 7)


async def test_patches_of_the_same_rows_do_not_deadlock(database: str, sql: asyncpg.Connection) -> None:
    """Every worker locks them in the order of their keys, whatever the order and the fields of its items: else `Contended`."""
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY, a int, b int)")
    await sql.execute("INSERT INTO things SELECT n FROM generate_series(1, 100) n")
    chance = random.Random(1)
    async with store_over(database, options={"things": OPTIONS["patch"]}) as store:

        async def work() -> None:
            for _ in range(10):
                keys = chance.sample(range(1, 101), 100)
                await store.write(batch(*({"id": key, chance.choice("ab"): chance.random() // 0.01} for key in keys)))

        await asyncio.gather(*(work() for _ in range(4)))
