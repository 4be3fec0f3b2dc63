"""Which column a refusal names: PostgreSQL's error says the constraint, the catalogue says what it is about."""

import asyncpg
import pytest

from ingest_server.model import Mode, TableOptions
from tests.ingest_server.postgres.stores import Store, counts, store_over
from tests.make import batch


async def column_of(store: Store, item: dict[str, object], table: str = "things") -> str | None:
    settled = await store.write(batch(item, table=table))
    assert counts(settled) == (0, 0, 0, 1)
    return settled.errors[0].refusal.column


@pytest.fixture
async def appended(database: str, sql: asyncpg.Connection):
    async with store_over(database, options={"things": TableOptions(Mode.APPEND)}) as store:
        yield store


@pytest.mark.parametrize(
    ("columns", "rule", "item", "column"),
    [
        ("a int, b int", "UNIQUE (b, a)", {"a": 1, "b": 1}, "b, a"),
        ("a int, b int", "UNIQUE (a) INCLUDE (b)", {"a": 1, "b": 2}, "a"),
        ('"A b" int, """q" int', 'CHECK ("A b" < 5)', {"A b": 9}, "A b"),
        ('"A b" int, """q" int', 'UNIQUE ("""q")', {'"q': 1}, '"q'),
        ("a int, b int", "CHECK (a + b > 0)", {"a": -1, "b": 0}, "a, b"),
        ("a int, b int, PRIMARY KEY (a, b)", "CHECK (true)", {"a": 1, "b": 1}, "a, b"),
    ],
)
async def test_constraints(
    appended: Store, sql: asyncpg.Connection, columns: str, rule: str, item: dict[str, object], column: str
) -> None:
    await sql.execute(f"CREATE TABLE things ({columns}, {rule})")
    await appended.write(batch(dict.fromkeys(item, 1)))
    assert await column_of(appended, item) == column


@pytest.mark.parametrize(
    ("index", "column"),
    [
        ("(b)", "b"),
        ("(b, a) WHERE c = 1", "b, a"),
        ("(lower(b))", "b"),
        ("(lower(b), a)", "a, b"),
        ("((1)) WHERE c = 1", "c"),
    ],
)
async def test_unique_indexes(appended: Store, sql: asyncpg.Connection, index: str, column: str) -> None:
    await sql.execute(f"CREATE TABLE things (a int, b text, c int); CREATE UNIQUE INDEX ON things {index}")
    item = {"a": 1, "b": "x", "c": 1}
    await appended.write(batch(item))
    assert await column_of(appended, item) == column


async def test_a_rule_of_a_partition(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute(
        "CREATE TABLE things (id int, day int, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);"
        "CREATE TABLE first PARTITION OF things FOR VALUES FROM (0) TO (9);"
        "ALTER TABLE first ADD CONSTRAINT no_trolls CHECK (v <> 'troll'); CREATE UNIQUE INDEX ON first (v)"
    )
    await store.write(batch({"id": 1, "day": 1, "v": "taken"}))
    assert await column_of(store, {"id": 2, "day": 2, "v": "troll"}) == "v"
    assert await column_of(store, {"id": 2, "day": 2, "v": "taken"}) == "v"
    assert await column_of(store, {"id": 2, "day": 99}) is None


async def test_a_domain_that_two_columns_have_is_nobody_s(store: Store, sql: asyncpg.Connection) -> None:
    """Where COPY does not say the column: the value is made by a trigger."""
    await sql.execute("""
        CREATE DOMAIN small AS int CHECK (VALUE < 9);
        CREATE FUNCTION grow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a = 10; RETURN NEW; END $$;
    """)
    for table, columns in (("one", "a small, v int"), ("two", "a small, b small")):
        await sql.execute(f"CREATE TABLE {table} ({columns})")
        await sql.execute(f"CREATE TRIGGER grow BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION grow()")
    assert await column_of(store, {"a": 1}, "one") == "a"
    assert await column_of(store, {"a": 1}, "two") is None


async def test_what_a_trigger_calls_a_column_is_believed_only_where_there_is_one(
    store: Store, sql: asyncpg.Connection
) -> None:
    await sql.execute("""
        CREATE TABLE things (v text, w text);
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no: %', NEW.v USING COLUMN = NEW.w, CONSTRAINT = NEW.v; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION refuse();
    """)
    settled = await store.write(batch({"v": "SECRET", "w": "SECRET"}, {"v": "SECRET", "w": "v"}))
    assert [(one.refusal.column, "SECRET" in one.refusal.message) for one in settled.errors] == [
        (None, False),
        ("v", False),
    ]
