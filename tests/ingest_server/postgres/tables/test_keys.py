"""What tells a table's rows apart: the primary key, a unique index, or the columns that the settings name."""

import asyncpg
import pytest

from ingest_server.errors import Misconfigured
from ingest_server.model import Mode, TableOptions
from ingest_server.postgres.writing.statements import Statements
from tests.ingest_server.postgres.stores import Store, counts, name, store_over
from tests.make import batch

COLUMNS = "a int NOT NULL, b int NOT NULL, n int, m int, v text, g int GENERATED ALWAYS AS (a) STORED"

# what else the table has, and the key that it has by that, if any
KEYS = [
    ("", ()),
    ("UNIQUE (a)", ("a",)),
    ("UNIQUE (b, a)", ("b", "a")),
    ("UNIQUE (n)", ("n",)),
    ("UNIQUE NULLS NOT DISTINCT (n, m)", ("n", "m")),
    ("PRIMARY KEY (b), UNIQUE (a)", ("b",)),
    ("PRIMARY KEY (a) INCLUDE (b)", ("a",)),
    ("UNIQUE (a) INCLUDE (b, v)", ("a",)),
    ("UNIQUE (a), UNIQUE (n)", ("a",)),  # the one whose columns are NOT NULL
    ("UNIQUE (a), UNIQUE (b)", ()),  # nobody can tell which
    ("UNIQUE (n), UNIQUE (m)", ()),
    ("UNIQUE (a), UNIQUE (a) INCLUDE (v)", ("a",)),
    ("UNIQUE (a) DEFERRABLE", ()),
    ("UNIQUE (a) DEFERRABLE, UNIQUE (b)", ("b",)),
    ("UNIQUE (g)", ()),  # no item brings it
]
INDEXES = [
    ("UNIQUE INDEX ON things (a) WHERE a > 0", ()),
    ("UNIQUE INDEX ON things ((a + 1))", ()),
    ("UNIQUE INDEX ON things (a, (b + 1))", ()),
    ("INDEX ON things (a)", ()),
    ("UNIQUE INDEX ON things (a DESC)", ("a",)),
    (("UNIQUE INDEX on things (b); CREATE UNIQUE INDEX c ON things (a);"
     "ALTER TABLE things REPLICA IDENTITY USING INDEX c"), ("a",)),
]  # fmt: skip


async def test_the_key_that_a_table_has(store: Store, sql: asyncpg.Connection) -> None:
    tables = [(f"CREATE TABLE things ({COLUMNS}{', ' * bool(more)}{more})", key) for more, key in KEYS]
    tables += [(f"CREATE TABLE things ({COLUMNS}); CREATE {index}", key) for index, key in INDEXES]
    wrong = {}
    for statements, key in tables:
        await sql.execute(f"DROP TABLE IF EXISTS things; {statements}")
        spec = await store.plans.spec(name("things"))
        assert spec is not None
        if (spec.key, spec.mode) != (key, Mode.UPSERT if key else Mode.APPEND):
            wrong[statements] = spec.key, spec.mode
            continue
        items = [{"a": 1, "b": 1, "n": 1, "m": 1, "v": word} for word in ("x", "y")]
        settled = await store.write(batch(items[0]))
        if counts(settled) != (1, 0, 0, 0) or (key and counts(await store.write(batch(items[1]))) != (0, 1, 0, 0)):
            wrong[statements] = counts(settled)
    assert wrong == {}


async def test_null_meets_no_null_unless_the_index_says_so(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (n int, m int, v int, UNIQUE (n, m))")
    items = [{"n": 1, "v": 1}, {"n": 1, "v": 2}, {"m": 1, "v": 3}, {"v": 4}, {"v": 5}]
    keyed = [{"n": 2, "m": 2, "v": 6}, {"n": 2, "m": 2, "v": 7}]
    assert counts(await store.write(batch(*items, *keyed))) == (6, 0, 1, 0)
    assert counts(await store.write(batch(*items, *keyed))) == (5, 0, 2, 0)
    assert await sql.fetchval("SELECT count(*) FROM things") == 11
    await sql.execute("DROP TABLE things; CREATE TABLE things (n int, m int, v int, UNIQUE NULLS NOT DISTINCT (n, m))")
    assert counts(await store.write(batch(*items, *keyed))) == (4, 0, 3, 0)
    assert counts(await store.write(batch(*items, *keyed))) == (0, 0, 7, 0)
    assert counts(await store.write(batch({"n": 1, "v": 9}))) == (0, 1, 0, 0)
    assert await sql.fetchval("SELECT array_agg(v ORDER BY v) FROM things") == [3, 5, 7, 9]


async def test_null_keys_and_a_refused_neighbour(store: Store, sql: asyncpg.Connection) -> None:
    """The search for the refused one goes another way than the first try."""
    await sql.execute("CREATE TABLE things (n int UNIQUE, v int CHECK (v > 0), d int DEFAULT 1)")
    items = [{"v": 1}, {"v": 2, "d": 2}, {"v": -1}, {"n": 1, "v": 3}, {"n": 1, "v": 4}, {"v": 5}]
    assert counts(await store.write(batch(*items))) == (4, 0, 1, 1)
    assert await sql.fetchval("SELECT array_agg(v ORDER BY v) FROM things") == [1, 2, 4, 5]


async def test_a_key_that_the_settings_name(database: str, sql: asyncpg.Connection) -> None:
    """The usual table of a crawl: an id that the database makes, and a page's address that is unique."""
    await sql.execute("CREATE TABLE things (id bigserial PRIMARY KEY, url text UNIQUE, v int, w int UNIQUE)")
    async with store_over(database, options={"things": TableOptions(key=("url",))}) as store:
        assert counts(await store.write(batch({"url": "a", "v": 1}, {"url": "b", "v": 1}))) == (2, 0, 0, 0)
        assert counts(await store.write(batch({"url": "a", "v": 2}, {"url": "b", "v": 1}))) == (0, 1, 1, 0)
        assert counts(await store.write(batch({"url": "c", "w": 1}, {"url": "d", "w": 1}))) == (1, 0, 0, 1)
    async with store_over(database, options={"things": TableOptions(Mode.IGNORE, key=("url",))}) as store:
        assert counts(await store.write(batch({"url": "a", "v": 3}, {"url": "z"}))) == (1, 0, 1, 0)
    assert await sql.fetchval("SELECT v FROM things WHERE url = 'a'") == 2
    for wrong in (("v",), ("url", "v"), ("nope",)):
        async with store_over(database, options={"things": TableOptions(key=wrong)}) as store:
            with pytest.raises(
                Misconfigured, match="no unique index that ON CONFLICT can use is over just these columns"
            ):
                await store.write(batch({"url": "a"}))


async def test_a_key_that_could_be_several(database: str, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (a int UNIQUE, b int UNIQUE)")
    async with store_over(database, options={"things": TableOptions(Mode.UPSERT)}) as store:
        with pytest.raises(Misconfigured, match=r"several unique indexes could be it: name one, key = \['a'\]"):
            await store.write(batch({"a": 1}))
    async with store_over(database, options={"things": TableOptions(key=("b",))}) as store:
        assert counts(await store.write(batch({"a": 1, "b": 1}, {"a": 2, "b": 1}))) == (1, 0, 1, 0)


async def test_an_index_that_comes_and_goes_is_seen(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (a int NOT NULL, v int)")
    assert counts(await store.write(batch({"a": 1}))) == (1, 0, 0, 0)
    await sql.execute("CREATE UNIQUE INDEX CONCURRENTLY one ON things (a)")
    assert counts(await store.write(batch({"a": 1, "v": 1}, {"a": 2}))) == (1, 1, 0, 0)
    await sql.execute("DROP INDEX CONCURRENTLY one")
    assert counts(await store.write(batch({"a": 1}))) == (1, 0, 0, 0)


PARTITIONS = """
CREATE TABLE things (day date, id int, v text DEFAULT 'usual', PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE early PARTITION OF things FOR VALUES FROM ('2026-01-01') TO ('2026-02-01') PARTITION BY LIST (id);
CREATE TABLE early_odd PARTITION OF early FOR VALUES IN (1, 3, 5);
CREATE TABLE late (v text DEFAULT 'usual', id int NOT NULL, day date NOT NULL);
ALTER TABLE things ATTACH PARTITION late FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
"""


async def test_partitions(store: Store, sql: asyncpg.Connection) -> None:
    """Of partitions, another order of columns in one; an item that none takes is a dead letter until one does."""
    await sql.execute(PARTITIONS)
    items = [{"id": 1, "day": "2026-01-02"}, {"id": 2, "day": "2026-02-02"}, {"id": 3, "day": "2026-01-03", "v": "x"}]
    homeless = [{"id": 2, "day": "2026-01-02"}, {"id": 1, "day": "2027-01-01"}]
    settled = await store.write(batch(homeless[0], *items, homeless[1]))
    assert counts(settled) == (3, 0, 0, 2)
    assert {(one.refusal.code, one.refusal.message) for one in settled.errors} == {
        ("23514", "no partition of the table takes it")
    }
    items[2]["v"] = "y"
    assert counts(await store.write(batch(*items))) == (0, 1, 2, 0)
    await sql.execute("CREATE TABLE others PARTITION OF things DEFAULT; CREATE TABLE e PARTITION OF early DEFAULT")
    assert counts(await store.write(batch(*homeless))) == (2, 0, 0, 0)
    # By its own name a partition is a table like any other.
    assert counts(await store.write(batch({"id": 3, "day": "2026-01-03", "v": "z"}, table="early_odd"))) == (0, 1, 0, 0)
    assert counts(await store.write(batch({"id": 2, "day": "2026-01-03"}, table="early_odd"))) == (0, 0, 0, 1)


async def test_partitions_are_counted_without_postgresql_18_s_returning(store: Store, sql: asyncpg.Connection) -> None:
    """Before it xmax told new rows from old ones, which nobody may ask a partitioned table for."""
    await sql.execute(PARTITIONS)
    await sql.execute("INSERT INTO things VALUES ('2026-01-02', 1, 'old'), ('2026-02-02', 2, 'old')")
    spec = await store.plans.spec(name("things"))
    assert spec is not None
    assert spec.partitioned
    statements = Statements(spec)
    await sql.execute("BEGIN")
    await sql.execute(statements.make_staging)
    await sql.execute(
        f"INSERT INTO {statements.staging} (day, id, v, _ingest_position) "
        "VALUES ('2026-01-02', 1, 'new', 0), ('2026-02-02', 2, 'old', 1), ('2026-01-02', 3, 'new', 2)"
    )
    found = await sql.fetch(statements.merge(("day", "id", "v"), chosen=False, has_old=False))
    assert sorted(row[0] for row in found) == [False, True]
    await sql.execute("COMMIT")
