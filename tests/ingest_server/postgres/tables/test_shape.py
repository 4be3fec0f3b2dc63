"""ALTER TABLE while batches flow: yesterday's column types are never written, and the new shape is picked up."""

import asyncio
import itertools
from collections import Counter

import asyncpg
import pytest

from ingest_server.errors import Contended, Misconfigured
from ingest_server.model import Mode, TableOptions
from tests.ingest_server.postgres.stores import Store, counts, store_over, until
from tests.make import batch

CHANGES = [
    ("bigint", "double precision", 3, 3.0),  # stored as 1.5e-323 by a COPY with yesterday's types
    ("double precision", "bigint", 3, 3),
    ("bigint", "timestamptz USING to_timestamp(v)", "2026-01-01T00:00:00Z", None),
    ("integer", "bigint", 3, 3),
    ("bigint", "integer", 3, 3),
    ("bigint", "text", "3", "3"),
    ("real", "integer", 3, 3),
]


@pytest.mark.parametrize("key", ["", "PRIMARY KEY"])
@pytest.mark.parametrize(("before", "after", "value", "stored"), CHANGES)
async def test_every_connection_writes_the_new_type(
    store: Store, sql: asyncpg.Connection, key: str, before: str, after: str, value: object, stored: object
) -> None:
    await sql.execute(f"CREATE TABLE things (id int {key}, v {before})")
    items = itertools.count()
    await asyncio.gather(*(store.write(batch({"id": next(items), "v": 1})) for _ in range(8)))
    assert store.pool.get_size() == 4
    await sql.execute(f"ALTER TABLE things ALTER v TYPE {after}")
    start = next(items)
    settled = await asyncio.gather(*(store.write(batch({"id": next(items), "v": value})) for _ in range(16)))
    assert {counts(one) for one in settled} == {(1, 0, 0, 0)}
    found = {row["v"] for row in await sql.fetch("SELECT v FROM things WHERE id > $1", start)}
    assert len(found) == 1
    if stored is not None:
        assert found == {stored}


@pytest.mark.parametrize("key", ["", "PRIMARY KEY"])
async def test_a_table_of_the_same_name_in_its_place(store: Store, sql: asyncpg.Connection, key: str) -> None:
    """Made anew, and swapped by RENAME: asyncpg keeps its statements by their text, which did not change."""
    await sql.execute(f"CREATE TABLE things (id int {key}, v bigint)")
    await asyncio.gather(*(store.write(batch({"id": number, "v": 1})) for number in range(8)))
    await sql.execute(f"DROP TABLE things; CREATE TABLE things (id int {key}, v double precision)")
    await asyncio.gather(*(store.write(batch({"id": number, "v": 3})) for number in range(8)))
    assert {row["v"] for row in await sql.fetch("SELECT v FROM things")} == {3.0}
    await sql.execute(
        f"CREATE TABLE next (id int {key}, v bigint);"
        "BEGIN; ALTER TABLE things RENAME TO old; ALTER TABLE next RENAME TO things; COMMIT"
    )
    await asyncio.gather(*(store.write(batch({"id": number, "v": 5})) for number in range(8)))
    assert {row["v"] for row in await sql.fetch("SELECT v FROM things")} == {5}
    assert await sql.fetchval("SELECT count(*) FROM old") == 8


async def test_a_type_that_comes_back(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY, v bigint)")
    for number, kind in enumerate(["bigint", "double precision", "bigint", "double precision"]):
        await sql.execute(f"ALTER TABLE things ALTER v TYPE {kind}")
        await asyncio.gather(*(store.write(batch({"id": number * 10 + more, "v": 3})) for more in range(6)))
    assert {row["v"] for row in await sql.fetch("SELECT v FROM things")} == {3.0}


@pytest.mark.parametrize("key", ["", "PRIMARY KEY"])
async def test_alter_in_the_middle_of_many_batches(database: str, sql: asyncpg.Connection, key: str) -> None:
    """One writes, one alters, and nothing but what was sent is ever read back."""
    await sql.execute(f"CREATE TABLE things (id int {key}, v bigint)")
    left = list(range(160))
    done = 0
    async with store_over(database) as store:

        async def work() -> None:
            nonlocal done
            while left:
                number = left.pop()
                settled = await store.write(batch(*({"id": number * 10 + more, "v": 7} for more in range(10))))
                assert counts(settled) == (10, 0, 0, 0)
                done += 1

        async def alter() -> None:
            for turn, kind in enumerate(
                ["double precision", "bigint", "numeric", "integer", "double precision", "bigint"]
            ):
                await until(lambda turn=turn: _reached(turn * 20))
                await sql.execute(f"ALTER TABLE things ALTER v TYPE {kind}, ADD COLUMN extra_{turn} text")

        async def _reached(count: int) -> bool:
            return done >= count

        await asyncio.gather(alter(), *(work() for _ in range(4)))
    assert await sql.fetchval("SELECT count(*) FROM things") == 1600
    assert {row["v"] for row in await sql.fetch("SELECT v FROM things")} == {7}


SHAPES = [
    "ALTER TABLE things ADD COLUMN extra int NOT NULL DEFAULT 5",
    "ALTER TABLE things ALTER v TYPE double precision",
    "ALTER TYPE mood ADD VALUE 'new'",
    "ALTER TABLE things RENAME COLUMN w TO x",
    "ALTER TABLE things RENAME COLUMN x TO w",
    "ALTER TABLE things DROP COLUMN w",
    "ALTER TABLE things ADD COLUMN w int4range",
    "ALTER TABLE things ALTER v TYPE numeric(3,1)",
    "BEGIN; ALTER TABLE things RENAME TO old_1; CREATE TABLE things (LIKE old_1 INCLUDING ALL); COMMIT",
    "ALTER TABLE things RENAME TO old_2",  # and for a while there is none
    "CREATE TABLE things (w text, mood mood, v text, id bigint)",
    "CREATE UNIQUE INDEX ON things (id)",
    "ALTER TABLE things RENAME TO old_3; CREATE TABLE things (LIKE old_3) PARTITION BY RANGE (id)",
    "CREATE TABLE part PARTITION OF things FOR VALUES FROM (0) TO (1000000)",
]


@pytest.mark.parametrize("key", ["", "PRIMARY KEY"])
async def test_every_change_of_a_table_under_load(database: str, sql: asyncpg.Connection, key: str) -> None:
    """Each item is in one of the tables that had the name, or a dead letter: once, whatever happened in between."""
    await sql.execute("CREATE TYPE mood AS ENUM ('ok')")
    await sql.execute(f"CREATE TABLE things (id int {key}, v bigint, w text, mood mood)")
    numbers = itertools.count()
    settled: list[int] = []
    met: Counter[str] = Counter()
    is_over = False
    async with store_over(database) as store:

        async def work() -> None:
            while not is_over:
                start = next(numbers) * 10
                moods = ("ok", "new")
                items = [{"id": start + n, "v": 7, "w": "[1,2)", "mood": moods[n % 2]} for n in range(10)]
                one = batch(*items)
                while True:  # as the worker does with a batch that waits aside
                    try:
                        counted = counts(await store.write(one))
                        break
                    except (Misconfigured, Contended) as error:
                        met[type(error).__name__] += 1
                        await asyncio.sleep(0)
                assert counted[0] + counted[3] == 10
                settled.extend(range(start, start + 10))

        async def alter() -> None:
            nonlocal is_over
            for statements in SHAPES:
                await sql.execute(statements)
                least = len(settled) + 80 if "old_2" not in statements else 0
                before = met["Misconfigured"]

                async def went_on(least: int = least, before: int = before) -> bool:
                    return len(settled) >= least if least else met["Misconfigured"] > before

                await until(went_on)
            is_over = True

        await asyncio.gather(alter(), *(work() for _ in range(4)))
    tables = [f"SELECT id FROM {table}" for table in ("things", "old_1", "old_2", "old_3")]
    buried = "SELECT (convert_from(raw, 'UTF8')::jsonb ->> 'id')::bigint FROM ingest.dead_letters"
    stored = [row[0] for row in await sql.fetch(" UNION ALL ".join((*tables, buried)))]
    assert sorted(stored) == sorted(settled)
    codes = {row[0] for row in await sql.fetch("SELECT DISTINCT code FROM ingest.dead_letters")}
    assert codes <= {"invalid", "23514"}  # an unknown label, a column that was away, no partition yet
    assert met["Misconfigured"]


async def test_columns_that_come_and_go(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY, a int, b int)")
    await store.write(batch({"id": 1, "a": 1, "b": 1}))
    await sql.execute("ALTER TABLE things DROP COLUMN a, ADD COLUMN c jsonb")
    settled = await store.write(batch({"id": 2, "b": 1, "c": [1]}, {"id": 3, "a": 1}))
    assert counts(settled) == (1, 0, 0, 1)
    await sql.execute("ALTER TABLE things RENAME COLUMN b TO a")
    assert counts(await store.write(batch({"id": 3, "a": 4}))) == (1, 0, 0, 0)
    assert await sql.fetchval("SELECT a FROM things WHERE id = 3") == 4


async def test_labels_that_an_enum_gains_are_taken_at_once(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE things (id int PRIMARY KEY, m mood, ms mood[])")
    assert counts(await store.write(batch({"id": 1, "m": "ok", "ms": ["ok"]}, {"id": 2, "m": "sad"}))) == (1, 0, 0, 1)
    await sql.execute("ALTER TYPE mood ADD VALUE 'sad'")
    assert counts(await store.write(batch({"id": 2, "m": "sad", "ms": ["sad", None]}))) == (1, 0, 0, 0)


async def test_a_key_that_is_dropped_or_added_changes_the_mode(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY)")
    assert counts(await store.write(batch({"id": 1}))) == (1, 0, 0, 0)
    await sql.execute("ALTER TABLE things DROP CONSTRAINT things_pkey")
    assert counts(await store.write(batch({"id": 1}))) == (1, 0, 0, 0)
    await sql.execute("DELETE FROM things; ALTER TABLE things ADD PRIMARY KEY (id)")
    assert counts(await store.write(batch({"id": 1}, {"id": 1}))) == (1, 0, 1, 0)


async def test_a_table_that_goes_waits_and_goes_on_when_it_is_back(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY)")
    await store.write(batch({"id": 1}))
    await sql.execute("DROP TABLE things")
    one = batch({"id": 2})
    with pytest.raises(Misconfigured, match=r"things does not exist: create it"):
        await store.write(one)
    await sql.execute("CREATE TABLE things (id text PRIMARY KEY)")
    assert counts(await store.write(batch({"id": "x"}))) == (1, 0, 0, 0)


async def test_options_that_do_not_fit_are_told_with_the_remedy_and_go_on_once_mended(
    database: str, sql: asyncpg.Connection
) -> None:
    await sql.execute("CREATE TABLE things (id int, at int, rest text)")
    for options, words in (
        (TableOptions(Mode.UPSERT), 'needs a primary key: add one, or set mode = "append"'),
        (TableOptions(newest_by="no"), "no column of it"),
        (TableOptions(newest_by="at"), 'newest_by is for mode "upsert"'),
        (TableOptions(catch_all="rest"), "no jsonb column"),
    ):
        async with store_over(database, options={"things": options}) as store:
            with pytest.raises(Misconfigured, match=words):
                await store.write(batch({"id": 1}))
    async with store_over(database, options={"things": TableOptions(Mode.UPSERT)}) as store:
        await sql.execute("ALTER TABLE things ADD PRIMARY KEY (id) DEFERRABLE")
        with pytest.raises(Misconfigured, match="DEFERRABLE"):
            await store.write(batch({"id": 1}))
        await sql.execute("ALTER TABLE things DROP CONSTRAINT things_pkey, ADD PRIMARY KEY (id)")
        assert counts(await store.write(batch({"id": 1}))) == (1, 0, 0, 0)
