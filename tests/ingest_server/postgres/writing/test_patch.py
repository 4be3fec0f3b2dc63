"""`merge = patch`: only the fields that an item has are written, whatever the others of its batch have."""

from pathlib import Path

import asyncpg
import pytest

from ingest_server.errors import Misconfigured
from ingest_server.model import Merge, Mode, TableOptions
from tests.asking import Asker
from tests.ingest_server.postgres.stores import Store, counts, store_over
from tests.make import batch
from tests.running import running_server

PATCH = TableOptions(Mode.UPSERT, merge=Merge.PATCH)


@pytest.fixture
async def patches(database: str, sql: asyncpg.Connection):
    await sql.execute(
        "CREATE TABLE things (id int PRIMARY KEY, name text NOT NULL, price numeric CHECK (price > 0), "
        "seen int NOT NULL DEFAULT 1, tags jsonb, plain json)"
    )
    async with store_over(database, options={"things": PATCH}) as store:
        yield store


async def rows(sql: asyncpg.Connection, columns: str = "id, name, price, seen") -> list[tuple[object, ...]]:
    return [tuple(row) for row in await sql.fetch(f"SELECT {columns} FROM things ORDER BY id")]


class TestFields:
    async def test_only_what_the_item_has_is_written(self, patches: Store, sql: asyncpg.Connection) -> None:
        assert counts(await patches.write(batch({"id": 1, "name": "a", "price": 5, "seen": 7}))) == (1, 0, 0, 0)
        assert counts(await patches.write(batch({"id": 1, "price": 6}))) == (0, 1, 0, 0)
        assert counts(await patches.write(batch({"id": 1, "name": "b"}, {"id": 2, "name": "c"}))) == (1, 1, 0, 0)
        assert await rows(sql) == [(1, "b", 6, 7), (2, "c", None, 1)]

    async def test_null_is_a_field_too(self, patches: Store, sql: asyncpg.Connection) -> None:
        await patches.write(batch({"id": 1, "name": "a", "price": 5}))
        settled = await patches.write(batch({"id": 1, "price": None}, {"id": 1, "name": None}))
        assert counts(settled) == (0, 1, 0, 1)
        assert await rows(sql) == [(1, "a", None, 1)]

    async def test_items_of_one_batch_may_have_any_fields(self, patches: Store, sql: asyncpg.Connection) -> None:
        await patches.write(batch(*({"id": number, "name": "a", "price": 1} for number in range(4))))
        settled = await patches.write(
            batch({"id": 0, "price": 2}, {"id": 1, "name": "b"}, {"id": 2}, {"id": 3, "seen": 3, "name": "d"},
                  {"id": 4, "name": "new"}, {"id": 5, "name": "new", "seen": 9})
        )  # fmt: skip
        assert counts(settled) == (2, 3, 1, 0)
        assert await rows(sql) == [
            (0, "a", 2, 1), (1, "b", 1, 1), (2, "a", 1, 1), (3, "d", 1, 3), (4, "new", None, 1), (5, "new", None, 9),
        ]  # fmt: skip

    async def test_an_item_without_a_row_and_without_a_field_that_it_needs_is_a_dead_letter(
        self, patches: Store, sql: asyncpg.Connection
    ) -> None:
        await patches.write(batch({"id": 1, "name": "a"}))
        settled = await patches.write(batch({"id": 1, "price": 2}, {"id": 2, "price": 2}, {"id": 3, "name": "c"}))
        assert counts(settled) == (1, 1, 0, 1)
        (refusal,) = [buried.refusal for buried in settled.errors]
        assert (refusal.index, refusal.code, refusal.column) == (1, "23502", "name")
        assert await rows(sql) == [(1, "a", 2, 1), (3, "c", None, 1)]

    async def test_an_item_without_the_key_is_a_dead_letter(self, patches: Store) -> None:
        settled = await patches.write(batch({"name": "a"}, {"id": 1, "name": "a"}))
        assert counts(settled) == (1, 0, 0, 1)
        assert settled.errors[0].refusal.column == "id"


class TestOneKey:
    async def test_items_are_merged_in_their_order(self, patches: Store, sql: asyncpg.Connection) -> None:
        settled = await patches.write(
            batch({"id": 1, "name": "a", "price": 1}, {"id": 2, "name": "x"}, {"id": 1, "price": 2, "seen": 5},
                  {"id": 1, "name": "b"})
        )  # fmt: skip
        assert counts(settled) == (2, 0, 2, 0)
        assert await rows(sql) == [(1, "b", 2, 5), (2, "x", None, 1)]
        settled = await patches.write(batch({"id": 1, "price": 9}, {"id": 1, "seen": 6}, {"id": 1, "price": 2}))
        assert counts(settled) == (0, 1, 2, 0)
        assert await rows(sql) == [(1, "b", 2, 6), (2, "x", None, 1)]

    async def test_together_they_may_be_what_none_of_them_is_alone(
        self, patches: Store, sql: asyncpg.Connection
    ) -> None:
        assert counts(await patches.write(batch({"id": 1, "price": 1}, {"id": 1, "name": "a"}))) == (1, 0, 1, 0)
        assert await rows(sql) == [(1, "a", 1, 1)]

    @pytest.mark.parametrize("bad", range(4))
    async def test_a_refused_one_leaves_out_its_own_fields_only(
        self, patches: Store, sql: asyncpg.Connection, bad: int
    ) -> None:
        """The first lacks a name, which the second brings; the bad one stands anywhere among them."""
        items: list[dict[str, object]] = [{"id": 1, "seen": 2}, {"id": 1, "name": "a"}, {"id": 1, "tags": [1]}]
        items.insert(bad, {"id": 1, "price": -1, "seen": 9})
        settled = await patches.write(batch(*items, {"id": 2, "name": "b"}))
        assert counts(settled) == (2, 0, 2, 1)
        (refusal,) = [buried.refusal for buried in settled.errors]
        assert (refusal.index, refusal.column) == (bad, "price")
        assert await rows(sql, "id, name, price, seen, tags") == [(1, "a", None, 2, "[1]"), (2, "b", None, 1, None)]

    @pytest.mark.parametrize("bad", [[0], [1], [2], [2, 3]])
    async def test_those_that_are_a_row_only_together_are_found_beside_a_bad_one(
        self, database: str, sql: asyncpg.Connection, bad: list[int]
    ) -> None:
        await sql.execute(
            "CREATE TABLE things (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, c int CHECK (c > 0))"
        )
        items: list[dict[str, object]] = [{"id": 1, "a": 1}, {"id": 1, "b": 1}]
        for place in bad:
            items.insert(place, {"id": 1, "c": -1})
        async with store_over(database, options={"things": PATCH}) as store:
            settled = await store.write(batch(*items))
        assert counts(settled) == (1, 0, 1, len(bad))
        assert [(buried.refusal.index, buried.refusal.column) for buried in settled.errors] == [
            (one, "c") for one in bad
        ]

    async def test_keys_are_equal_where_postgresql_says_so(self, database: str, sql: asyncpg.Connection) -> None:
        await sql.execute("CREATE TABLE things (id numeric, c char(2), a text, b text, PRIMARY KEY (id, c))")
        async with store_over(database, options={"things": PATCH}) as store:
            settled = await store.write(batch({"id": "1.0", "c": "x", "a": "a"}, {"id": "1.00", "c": "x ", "b": "b"}))
            assert counts(settled) == (1, 0, 1, 0)
            assert counts(await store.write(batch({"id": 1, "c": "x", "b": "b"}))) == (0, 0, 1, 0)
        assert await rows(sql, "a, b") == [("a", "b")]


class TestUnchanged:
    async def test_json_is_compared_as_text_and_jsonb_by_value(self, patches: Store) -> None:
        await patches.write(batch(b'{"id":1,"name":"a","tags":{"a":1,"b":2},"plain":{"a":1}}'))
        assert counts(await patches.write(batch(b'{"id":1,"tags":{"b":2,"a":1},"plain":{"a":1}}'))) == (0, 0, 1, 0)
        assert counts(await patches.write(batch(b'{"id":1,"plain":{"a": 1}}'))) == (0, 1, 0, 0)


class TestCatchAll:
    @pytest.mark.parametrize("cut", [1, 2, 3, 9])
    async def test_its_members_are_fields_too(self, database: str, sql: asyncpg.Connection, cut: int) -> None:
        await sql.execute("CREATE TABLE things (id int PRIMARY KEY, a int, rest jsonb)")
        options = {"things": TableOptions(Mode.UPSERT, catch_all="rest", merge=Merge.PATCH)}
        items = [{"id": 1, "x": 1, "y": [1]}, {"id": 1, "rest": None}, {"id": 1, "a": 5}, {"id": 1, "x": 2, "z": {}},
                 {"id": 1, "z": 3}, {"id": 1, "a": 6}, {"id": 2, "a": 1}]  # fmt: skip
        async with store_over(database, options=options) as store:
            for start in range(0, len(items), cut):
                await store.write(batch(*items[start : start + cut]))
            assert counts(await store.write(batch({"id": 1, "x": 2}))) == (0, 0, 1, 0)
        assert await rows(sql, "a, rest") == [(6, '{"x": 2, "z": 3}'), (1, None)]


async def test_strict_is_all_or_none(patches: Store, sql: asyncpg.Connection) -> None:
    await patches.write(batch({"id": 1, "name": "a"}))
    settled = await patches.write(batch({"id": 1, "price": 2}, {"id": 2, "price": 2}, strict=True))
    assert counts(settled) == (0, 0, 0, 2)
    assert [buried.refusal.code for buried in settled.errors] == ["strict", "23502"]
    assert counts(await patches.write(batch({"id": 1, "price": 2}, strict=True))) == (0, 1, 0, 0)


async def test_a_table_that_is_only_key_has_nothing_to_update(database: str, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (a int, b text, PRIMARY KEY (a, b))")
    async with store_over(database, options={"things": PATCH}) as store:
        items = [{"a": 1, "b": "x"}, {"a": 1, "b": "x"}, {"a": 1, "b": "y"}]
        assert counts(await store.write(batch(*items))) == (2, 0, 1, 0)
        assert counts(await store.write(batch(*items))) == (0, 0, 3, 0)


async def test_it_is_for_upsert_only(database: str, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY)")
    for mode in (Mode.APPEND, Mode.IGNORE):
        async with store_over(database, options={"things": TableOptions(mode, merge=Merge.PATCH)}) as store:
            with pytest.raises(Misconfigured, match='merge = "patch" is for mode "upsert"'):
                await store.write(batch({"id": 1}))


async def test_the_server_patches_where_its_file_says_so(
    database: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY, name text NOT NULL, price int)")
    config = tmp_path / "ingest.toml"
    config.write_text('[table.things]\nmerge = "patch"\n')
    with running_server("--database", database, "--config", str(config), cwd=tmp_path) as running:
        asker = Asker(running.port)
        sent = [asker.send("things", *items, prefer="wait=30") for items in (
            [{"id": 1, "name": "a", "price": 1}], [{"id": 1, "price": 2}, {"id": 2, "price": 2}, {"id": 1, "price": 3}],
        )]  # fmt: skip
    assert [answer.status for answer in sent] == [200, 207]
    said = sent[1].json
    assert (said["inserted"], said["updated"], said["unchanged"], said["failed"]) == (0, 1, 1, 1)
    assert (said["errors"][0]["index"], said["errors"][0]["code"], said["errors"][0]["column"]) == (1, "23502", "name")
    assert await rows(sql, "id, name, price") == [(1, "a", 3)]
