"""Every type that the table in docs/tables.md names: into PostgreSQL and back, and what does not fit is refused alone."""

from typing import Any

import asyncpg
import pytest

from tests.ingest_server.postgres.stores import Store
from tests.ingest_server.postgres.test_counts import counts
from tests.make import batch

# type, what an item says, what PostgreSQL shows as text, what is refused
TYPES: list[tuple[str, Any, str, list[Any]]] = [
    ("smallint", "12", "12", [40000, 1.5, "x"]),
    ("integer", 12.0, "12", [2**31, True and "x"]),
    ("bigint", 2**63 - 1, str(2**63 - 1), [2**63, "9" * 30]),
    ("numeric", "0.10", "0.10", ["NaN", "x", "1e1000000"]),
    ("numeric(6,2)", 1.005, "1.01", [10000, -1e10]),
    ("real", 0.1, "0.1", [1e39, "NaN"]),
    ("double precision", 0.1, "0.1", ["Infinity", "x"]),
    ("boolean", "yes", "true", [2, "maybe"]),
    ("text", "ä\u2028 漢", "ä\u2028 漢", [1, ["a"], "a\0b"]),
    ("varchar(3)", "äöü", "äöü", ["abcd"]),
    ("char(3)", "a", "a", ["abcd"]),
    ("bytea", "ä", "\\xc3a4", [1]),
    ("date", "2026-02-28", "2026-02-28", ["2026-02-30", "x"]),
    ("time", "12:30:01.5", "12:30:01.5", ["25:00"]),
    ("timetz", "12:30:00", "12:30:00+00", ["x"]),
    ("timestamp", "2026-01-01T00:00:00+02:00", "2025-12-31 22:00:00", ["9999-12-31T23:59:59-05:00", "x"]),
    ("timestamptz", "2026-01-01T00:00:00", "2026-01-01 00:00:00+00", ["x"]),
    ("timestamptz", 1767225600, "2026-01-01 00:00:00+00", [1e30]),
    ("interval", "P1DT2H", "1 day 02:00:00", ["x"]),
    ("uuid", "0198F0D000007000800000000000000A", "0198f0d0-0000-7000-8000-00000000000a", ["x"]),
    ("inet", "10.0.0.1/24", "10.0.0.1/24", ["10.0.0.1/99", "x"]),
    ("cidr", "10.0.0.0/24", "10.0.0.0/24", ["10.0.0.1/24"]),
    ("json", {"a": [1, None]}, '{"a":[1,null]}', []),
    ("jsonb", {"a": [1, None]}, '{"a": [1, null]}', []),
    ("int[]", [1, None, "3"], "{1,NULL,3}", [["x"], 1]),
    ("int[][]", [[1, 2], [3, 4]], "{{1,2},{3,4}}", [[[1], [2, 3]]]),
    ("text[]", ["a,b", None], '{"a,b",NULL}', [[1]]),
    ("timestamptz[]", ["2026-01-01T00:00:00"], '{"2026-01-01 00:00:00+00"}', [["x"]]),
    ("jsonb[]", [{"a": 1}, None], '{"{\\"a\\": 1}",NULL}', []),
    ("mood", "ok", "ok", ["sad", 1]),
    ("mood[]", ["ok"], "{ok}", [["sad"]]),
    ("percent", 50, "50", [101, "x"]),
    ("short", "abc", "abc", ["abcdef"]),
]


@pytest.mark.parametrize(("kind", "value", "shown", "refused"), TYPES, ids=[one[0] for one in TYPES])
@pytest.mark.parametrize("key", ["", "PRIMARY KEY"], ids=["append", "upsert"])
async def test_a_type(
    store: Store, sql: asyncpg.Connection, key: str, kind: str, value: Any, shown: str, refused: list[Any]
) -> None:
    await sql.execute(
        "SET timezone = 'UTC'; CREATE TYPE mood AS ENUM ('ok');"
        "CREATE DOMAIN percent AS int CHECK (VALUE <= 100); CREATE DOMAIN short AS varchar(3);"
        f"CREATE TABLE things (id int {key}, v {kind})"
    )
    items = [{"id": 0, "v": value}, {"id": 1, "v": None}, {"id": 2}]
    items += [{"id": 3 + number, "v": wrong} for number, wrong in enumerate(refused)]
    settled = await store.write(batch(*items))
    assert counts(settled) == (3, 0, 0, len(refused))
    assert await sql.fetchval("SELECT v::text FROM things WHERE id = 0") == shown
    assert await sql.fetchval("SELECT count(*) FROM things WHERE v IS NULL") == 2


async def test_a_row_that_is_too_big_is_refused_alone(store: Store, sql: asyncpg.Connection) -> None:
    """1,600 columns of 18 bytes, which cannot be moved out of the row, are more than a page."""
    columns = ", ".join(f"c{number} uuid" for number in range(600))
    await sql.execute(f"CREATE TABLE things (id int, {columns})")
    wide = {f"c{number}": "0198f0d0-0000-7000-8000-00000000000a" for number in range(600)}
    settled = await store.write(batch({"id": 1}, {"id": 2} | wide, {"id": 3}))
    assert counts(settled) == (2, 0, 0, 1)
    assert settled.errors[0].refusal.code == "54000"


async def test_a_user_s_own_type_with_a_name_of_postgresql_s(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute('CREATE TYPE public."text" AS (a int); CREATE TABLE things (id int, v public."text")')
    settled = await store.write(batch({"id": 1}, {"id": 2, "v": "x"}))
    assert counts(settled) == (1, 0, 0, 1)
    assert "not supported yet" in settled.errors[0].refusal.message
