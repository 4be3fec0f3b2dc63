"""What is known of tables: landing tables made once, closed schemas, and a list that no odd table spoils."""

import asyncio

import asyncpg
import pytest

from ingest_server.errors import Misconfigured
from ingest_server.model import Column, Mode, TableName, TableOptions, TableSpec
from ingest_server.postgres.writing.statements import Statements
from tests.ingest_server.postgres.stores import Store, counts, store_over
from tests.make import batch


async def test_a_landing_table_is_made_once_by_many_at_once(database: str, sql: asyncpg.Connection) -> None:
    async with store_over(database, create_tables=True, size=8) as one, store_over(database, create_tables=True) as two:
        batches = [batch({"a": number}, b"broken", table="books", crawl="c") for number in range(16)]
        stores = [one, two] * 8
        settled = await asyncio.gather(*(store.write(each) for store, each in zip(stores, batches, strict=True)))
    assert {counts(each) for each in settled} == {(1, 0, 0, 1)}
    assert await sql.fetchval("SELECT count(*) FROM books WHERE crawl = 'c'") == 16
    assert await sql.fetchval("SELECT sum((item->>'a')::int) FROM books") == sum(range(16))


async def test_without_leave_no_table_is_made(store: Store, sql: asyncpg.Connection) -> None:
    one = batch({"a": 1}, table="books")
    assert await store.sink.spec(one.table) is None
    with pytest.raises(Misconfigured, match="does not exist: create it"):
        await store.write(one)
    assert await sql.fetchval("SELECT to_regclass('books')") is None


@pytest.mark.parametrize("name", ["ingest.batches", "pg_catalog.pg_class", "information_schema.sql_parts", "pg_temp.x"])
async def test_the_server_s_and_postgresql_s_own_schemas_are_closed(database: str, name: str) -> None:
    async with store_over(database, create_tables=True) as store:
        one = batch({"a": 1}, table=name)
        assert await store.sink.spec(one.table) is None
        with pytest.raises(Misconfigured):
            await store.write(one)


async def test_every_table_is_listed_though_one_s_options_do_not_fit(database: str, sql: asyncpg.Connection) -> None:
    await sql.execute(
        "CREATE TABLE fits (id int PRIMARY KEY); CREATE TABLE does_not (id int); CREATE VIEW seen AS SELECT 1 AS a"
    )
    async with store_over(database, options={"does_not": TableOptions(Mode.UPSERT)}) as store:
        found = {spec.table.name: spec.mode for spec in await store.sink.tables()}
    assert found == {"fits": Mode.UPSERT, "does_not": Mode.APPEND}


async def test_strict_validation_goes_by_the_shape_of_this_moment(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int)")
    one = batch({"id": "x"})
    assert [refusal.column for refusal in await store.sink.check(one)] == ["id"]
    await sql.execute("ALTER TABLE things ALTER id TYPE text")
    assert await store.sink.check(one) == []


async def test_a_dropped_table_is_told_of(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int)")
    table = TableName("public", "things")
    assert await store.sink.spec(table) is not None
    await sql.execute("DROP TABLE things")
    assert await store.sink.spec(table) is None


def test_types_whose_equality_forgets_something_are_compared_as_text() -> None:
    columns = tuple(
        Column(kind, kind, kind, nullable=True) for kind in ("id", "json", "citext", "point", "jsonb", "text")
    )
    statements = Statements(TableSpec(TableName("public", "t"), columns, ("id",), Mode.UPSERT))
    merge = statements.merge(tuple(column.name for column in columns), chosen=False, has_old=True)
    assert 'there."json"::text, there."citext"::text, there."point"::text, there."jsonb", there."text"' in merge
