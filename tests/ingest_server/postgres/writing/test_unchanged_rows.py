"""Rows that would be the same afterwards are not written again: PostgreSQL's write-ahead log stays small."""

import asyncpg
import pytest

from ingest_server.model import Merge, Mode, TableOptions
from tests.ingest_server.postgres.stores import Store, counts, store_over
from tests.ingest_server.postgres.writing.test_counts import versions
from tests.make import batch

OPTIONS = {
    "upsert": TableOptions(Mode.UPSERT),
    "newest_by": TableOptions(Mode.UPSERT, newest_by="seen"),
    "patch": TableOptions(Mode.UPSERT, merge=Merge.PATCH),
    "patch, newest_by": TableOptions(Mode.UPSERT, newest_by="seen", merge=Merge.PATCH),
    "ignore": TableOptions(Mode.IGNORE),
}


def listings(name: str) -> list[dict[str, object]]:
    return [{"id": n, "seen": 1, "name": name * 300, "tags": {"a": [n]}, "plain": {"b": 1}} for n in range(500)]


async def wal_of(sql: asyncpg.Connection, store: Store, items: list[dict[str, object]], expected: object) -> int:
    """Bytes that writing the batch adds to the log. What PostgreSQL does beside it can only add."""
    before = await sql.fetchval("SELECT pg_current_wal_insert_lsn()")
    assert counts(await store.write(batch(*items))) == expected
    return int(await sql.fetchval("SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", before))


@pytest.mark.parametrize("mode", OPTIONS)
async def test_an_unchanged_batch_costs_a_fraction_of_a_changed_one(
    database: str, sql: asyncpg.Connection, mode: str
) -> None:
    await sql.execute(
        "CREATE TABLE things (id int PRIMARY KEY, seen int, name text, tags jsonb, plain json, more text)"
    )
    async with store_over(database, options={"things": OPTIONS[mode]}) as store:
        changed = [await wal_of(sql, store, listings("x"), (500, 0, 0, 0))]
        if mode != "ignore":
            changed.append(await wal_of(sql, store, listings("y"), (0, 500, 0, 0)))
        before = await versions(sql)
        same = listings("y") if mode != "ignore" else listings("anything")
        unchanged = [await wal_of(sql, store, same, (0, 0, 500, 0)) for _ in range(2)]
        twice = [*same, *same]
        unchanged.append(await wal_of(sql, store, twice, (0, 0, 1000, 0)))
        assert await versions(sql) == before
    assert min(unchanged) < min(changed) / 4, (changed, unchanged)


async def test_a_field_less_changes_nothing(database: str, sql: asyncpg.Connection) -> None:
    """Of patches only what they have is compared."""
    await sql.execute(
        "CREATE TABLE things (id int PRIMARY KEY, seen int, name text, tags jsonb, plain json, more text)"
    )
    async with store_over(database, options={"things": OPTIONS["patch"]}) as store:
        await store.write(batch(*listings("x")))
        before = await versions(sql)
        some = [{name: item[name] for name in ("id", *("seen", "name", "tags", "plain")[n % 5 :])}
                for n, item in enumerate(listings("x"))]  # fmt: skip
        assert counts(await store.write(batch(*some))) == (0, 0, 500, 0)
        assert await versions(sql) == before
