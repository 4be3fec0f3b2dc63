"""Inserted, updated, unchanged: true in every write mode, and rows that did not change are not written again."""

import asyncpg
import pytest

from ingest_server.model import Mode, TableOptions
from tests.ingest_server.postgres.stores import Store, counts, store_over
from tests.make import batch


async def versions(sql: asyncpg.Connection, table: str = "things") -> set[tuple[int, object]]:
    """Which version of each row stands where: both change with every write of the row."""
    return {(row["xmin"], row["ctid"]) for row in await sql.fetch(f"SELECT xmin, ctid FROM {table}")}


@pytest.fixture
async def things(sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY, name text, price numeric, tags jsonb, plain json)")


@pytest.mark.usefixtures("things")
class TestUpsert:
    async def test_new_changed_and_same(self, store: Store, sql: asyncpg.Connection) -> None:
        assert counts(await store.write(batch({"id": 1, "name": "a"}, {"id": 2, "name": "b"}))) == (2, 0, 0, 0)
        settled = await store.write(batch({"id": 1, "name": "a"}, {"id": 2, "name": "B"}, {"id": 3}))
        assert counts(settled) == (1, 1, 1, 0)
        assert dict(await sql.fetch("SELECT id, name FROM things")) == {1: "a", 2: "B", 3: None}

    async def test_rows_that_did_not_change_are_not_written_again(self, store: Store, sql: asyncpg.Connection) -> None:
        items = [
            {"id": number, "name": "x" * 200, "price": "1.50", "tags": {"a": [1]}, "plain": {"b": 1}}
            for number in range(500)
        ]
        await store.write(batch(*items))
        before, start = await versions(sql), await sql.fetchval("SELECT pg_current_wal_insert_lsn()")
        again = await store.write(batch(*items))
        assert counts(again) == (0, 0, 500, 0)
        assert await versions(sql) == before
        written = await sql.fetchval("SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", start)
        assert written < 100_000, "500 rows of about 300 bytes would be more"

    async def test_of_items_with_one_key_the_last_wins_and_the_others_are_unchanged(
        self, store: Store, sql: asyncpg.Connection
    ) -> None:
        settled = await store.write(
            batch({"id": 1, "name": "a"}, {"id": 2}, {"id": 1, "name": "b"}, {"id": 1, "name": "c"})
        )
        assert counts(settled) == (2, 0, 2, 0)
        assert await sql.fetchval("SELECT name FROM things WHERE id = 1") == "c"

    async def test_a_field_that_is_missing_is_null(self, store: Store, sql: asyncpg.Connection) -> None:
        await store.write(batch({"id": 1, "name": "a", "price": 1}))
        assert counts(await store.write(batch({"id": 1, "name": "a"}))) == (0, 1, 0, 0)
        assert await sql.fetchval("SELECT price FROM things") is None

    async def test_json_is_compared_as_text_and_jsonb_by_value(self, store: Store) -> None:
        await store.write(batch(b'{"id":1,"tags":{"a":1,"b":2},"plain":{"a":1}}'))
        assert counts(await store.write(batch(b'{"id":1,"tags":{"b":2, "a":1},"plain":{"a":1}}'))) == (0, 0, 1, 0)
        assert counts(await store.write(batch(b'{"id":1,"tags":{"b":2,"a":1},"plain":{"a": 1}}'))) == (0, 1, 0, 0)

    async def test_an_item_without_the_key_is_refused(self, store: Store) -> None:
        assert counts(await store.write(batch({"name": "a"}, {"id": 1}))) == (1, 0, 0, 1)


async def test_a_table_that_is_only_key_has_nothing_to_update(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (a int, b text, PRIMARY KEY (a, b))")
    assert counts(await store.write(batch({"a": 1, "b": "x"}, {"a": 1, "b": "y"}))) == (2, 0, 0, 0)
    assert counts(await store.write(batch({"a": 1, "b": "x"}, {"a": 2, "b": "x"}))) == (1, 0, 1, 0)


async def test_citext_changes_of_case_are_changes(store: Store, sql: asyncpg.Connection) -> None:
    found = await sql.fetchval("SELECT count(*) FROM pg_available_extensions WHERE name = 'citext'")
    kind = "citext" if found else "text"
    await sql.execute(
        f"{'CREATE EXTENSION citext;' if found else ''} CREATE TABLE things (id int PRIMARY KEY, name {kind})"
    )
    await store.write(batch({"id": 1, "name": "a"}))
    assert counts(await store.write(batch({"id": 1, "name": "A"}))) == (0, 1, 0, 0)
    assert await sql.fetchval("SELECT name::text FROM things") == "A"


class TestDefaults:
    async def test_items_that_lack_different_fields_are_one_batch(self, store: Store, sql: asyncpg.Connection) -> None:
        await sql.execute(
            "CREATE TABLE things (id int PRIMARY KEY, a text DEFAULT 'one', b int NOT NULL DEFAULT 2, c text)"
        )
        settled = await store.write(
            batch({"id": 1}, {"id": 2, "a": None}, {"id": 3, "b": 7}, {"id": 4, "a": "x", "b": 8, "c": "y"}, {"id": 5})
        )
        assert counts(settled) == (5, 0, 0, 0)
        rows = [tuple(row) for row in await sql.fetch("SELECT * FROM things ORDER BY id")]
        assert rows == [
            (1, "one", 2, None),
            (2, None, 2, None),
            (3, "one", 7, None),
            (4, "x", 8, "y"),
            (5, "one", 2, None),
        ]

    async def test_a_key_that_comes_in_two_groups_is_resolved_in_arrival_order(
        self, store: Store, sql: asyncpg.Connection
    ) -> None:
        await sql.execute("CREATE TABLE things (id int PRIMARY KEY, a text DEFAULT 'one', b text)")
        settled = await store.write(
            batch({"id": 1, "a": "x"}, {"id": 1, "b": "last"}, {"id": 2, "b": "first"}, {"id": 2, "a": "last"})
        )
        assert counts(settled) == (2, 0, 2, 0)
        rows = [tuple(row) for row in await sql.fetch("SELECT * FROM things ORDER BY id")]
        assert rows == [(1, "one", "last"), (2, "last", None)]

    async def test_keys_are_equal_where_postgresql_says_so(self, store: Store, sql: asyncpg.Connection) -> None:
        """1.0 and 1.00 are one numeric, 'a' and 'a ' one char(2), though not one text."""
        await sql.execute("CREATE TABLE things (n numeric, c char(2), a text DEFAULT 'one', PRIMARY KEY (n, c))")
        settled = await store.write(batch({"n": "1.0", "c": "a", "a": "x"}, {"n": "1.00", "c": "a "}))
        assert counts(settled) == (1, 0, 1, 0)

    async def test_append_takes_every_group(self, store: Store, sql: asyncpg.Connection) -> None:
        await sql.execute("CREATE TABLE things (a text DEFAULT 'one', b int DEFAULT 2)")
        assert counts(await store.write(batch({}, {"a": "x"}, {"b": 3}, {"a": "y", "b": 4}))) == (4, 0, 0, 0)
        assert await sql.fetchval("SELECT count(*) FROM things WHERE a = 'one'") == 2

    async def test_items_without_a_key_that_the_database_makes_are_appended(
        self, store: Store, sql: asyncpg.Connection
    ) -> None:
        await sql.execute("CREATE TABLE things (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, a text)")
        assert counts(await store.write(batch({"a": "x"}, {"a": "x"}))) == (2, 0, 0, 0)


async def test_generated_and_identity_columns_are_the_database_s_own(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute(
        "CREATE TABLE things (id int PRIMARY KEY, serial int GENERATED ALWAYS AS IDENTITY, "
        "a int, twice int GENERATED ALWAYS AS (a * 2) STORED)"
    )
    assert counts(await store.write(batch({"id": 1, "a": 4}, {"id": 2, "a": 5, "twice": 10}))) == (1, 0, 0, 1)
    assert counts(await store.write(batch({"id": 1, "a": 6}))) == (0, 1, 0, 0)
    assert tuple(await sql.fetchrow("SELECT serial, twice FROM things")) == (1, 12)


@pytest.mark.usefixtures("things")
async def test_ignore_keeps_the_first_one(database: str, sql: asyncpg.Connection) -> None:
    async with store_over(database, options={"things": TableOptions(Mode.IGNORE)}) as store:
        settled = await store.write(batch({"id": 1, "name": "first"}, {"id": 1, "name": "second"}, {"id": 2}))
        assert counts(settled) == (2, 0, 1, 0)
        assert counts(await store.write(batch({"id": 1, "name": "third"}, {"id": 3}))) == (1, 0, 1, 0)
        assert await sql.fetchval("SELECT name FROM things WHERE id = 1") == "first"


async def test_a_row_that_a_trigger_keeps_out_silently_is_unchanged(store: Store, sql: asyncpg.Connection) -> None:
    for table, key in (("keyed", "PRIMARY KEY"), ("plain", "")):
        await sql.execute(f"""
            CREATE TABLE {table} (id int {key});
            CREATE FUNCTION {table}_odd() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN IF NEW.id % 2 = 1 THEN RETURN NULL; END IF; RETURN NEW; END $$;
            CREATE TRIGGER odd BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_odd()
        """)
        assert counts(await store.write(batch({"id": 1}, {"id": 2}, {"id": 4}, table=table))) == (2, 0, 1, 0)


class TestOddNames:
    async def test_any_name_of_table_schema_and_column_is_taken(self, store: Store, sql: asyncpg.Connection) -> None:
        await sql.execute('CREATE SCHEMA "My Schema"')
        await sql.execute(
            'CREATE TABLE "My Schema"."Tab""le.x" ("ID" int, "a b" text, "sel""ect" jsonb, "Ünï" text DEFAULT \'d\', '
            'PRIMARY KEY ("ID"))'
        )
        name = '"My Schema"."Tab""le.x"'
        items = ({"ID": 1, "a b": "x", 'sel"ect': [1]}, {"ID": 2, "Ünï": "y"})
        assert counts(await store.write(batch(*items, table=name))) == (2, 0, 0, 0)
        assert counts(await store.write(batch(*items, {"ID": 1, "a b": "z"}, table=name))) == (0, 1, 2, 0)
        rows = [tuple(row) for row in await sql.fetch(f"SELECT * FROM {name} ORDER BY 1")]
        assert rows == [(1, "z", None, "d"), (2, None, None, "y")]

    async def test_names_as_long_as_postgresql_has_them(self, store: Store, sql: asyncpg.Connection) -> None:
        name = "n" * 63
        await sql.execute(f"CREATE TABLE {name} ({name} int PRIMARY KEY)")
        assert counts(await store.write(batch({name: 1}, table=name))) == (1, 0, 0, 0)


async def test_partitioned_tables_are_written_and_a_missing_partition_refuses_its_item(
    store: Store, sql: asyncpg.Connection
) -> None:
    await sql.execute(
        "CREATE TABLE things (id int, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);"
        "CREATE TABLE things_2026 PARTITION OF things FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')"
    )
    one, two = {"id": 1, "day": "2026-02-02", "v": "a"}, {"id": 1, "day": "1999-01-01"}
    settled = await store.write(batch(one, two))
    assert counts(settled) == (1, 0, 0, 1)
    assert settled.errors[0].refusal.message == "no partition of the table takes it"
    assert counts(await store.write(batch(one, one | {"v": "b"}))) == (0, 1, 1, 0)


async def test_without_returning_old_the_counts_are_as_true(
    store: Store, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL before 18, as far as the statement goes."""
    from ingest_server.postgres.writing.statements import Statements

    compose = Statements._compose
    monkeypatch.setattr(
        Statements,
        "_compose",
        lambda self, columns, *, chosen, has_old: compose(self, columns, chosen=chosen, has_old=False),
    )
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY, a int)")
    await store.write(batch({"id": 1, "a": 1}, {"id": 2, "a": 1}))
    assert counts(await store.write(batch({"id": 1, "a": 1}, {"id": 2, "a": 2}, {"id": 3}))) == (1, 1, 1, 0)
