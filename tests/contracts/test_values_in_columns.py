"""docs/items.md says which columns take a value as it was: each is sent to the real server, and read back."""

import asyncio
import datetime as dt
import json
import math
from typing import Any

import asyncpg
import pytest

from scrapy_batching.items.encode import Encoder
from tests.asking import Asker
from tests.items_page import VALUES, Row
from tests.running import RunningServer

KEPT = [row for row in VALUES if not row.is_dead_letter]
_AS_WRITTEN = {"text", "varchar", "jsonb", "text[]", "integer[]", "integer[][]"}


def expected(row: Row, column: str) -> Any:
    """What the column holds: the value itself, or what was written where the column knows no better."""
    written = json.loads(row.json)
    if written is None:
        return None
    if column in _AS_WRITTEN or (row.is_altered and column == "time"):
        return dt.time.fromisoformat(written) if column == "time" else written
    match row.value, column:
        case bytes() as raw, "bytea":
            return raw
        case value, "boolean" | "smallint" | "integer" | "bigint" if not isinstance(written, str):
            return type(written)(getattr(value, "value", value))
        case value, "timestamp" | "interval" if type(value).__module__ == "numpy":
            return value.tolist()
        case value, _:
            return value


async def send(server: RunningServer, table: str, item: dict[str, Any]) -> dict[str, Any]:
    line, _ = Encoder()(item)
    answer = await asyncio.to_thread(
        Asker(server.port).send, table, body=line + b"\n", prefer="wait=30", ingest_crawl="columns"
    )
    return dict(answer.json)


async def test_each_column_takes_the_values_that_the_page_says(server: RunningServer, sql: asyncpg.Connection) -> None:
    columns = {f"c{n}_{m}": (row, kind) for n, row in enumerate(KEPT) for m, kind in enumerate(row.columns)}
    await sql.execute(f"CREATE TABLE taken ({', '.join(f'{name} {kind}' for name, (_, kind) in columns.items())})")
    said = await send(server, "taken", {name: row.value for name, (row, _) in columns.items()})
    assert (said["succeeded"], said["errors"]) == (1, []), said["errors"]
    got = await sql.fetchrow("SELECT * FROM taken")
    for name, (row, kind) in columns.items():
        value = json.loads(got[name]) if kind == "jsonb" else got[name]
        want = expected(row, kind)
        assert value == want, (row.example, kind)


async def test_a_json_column_takes_every_value_as_it_was_written(
    server: RunningServer, sql: asyncpg.Connection
) -> None:
    await sql.execute("CREATE TABLE whole (v jsonb)")
    said = await send(server, "whole", {"v": [row.value for row in KEPT]})
    assert (said["succeeded"], said["errors"]) == (1, []), said["errors"]
    assert json.loads(await sql.fetchval("SELECT v FROM whole")) == [json.loads(row.json) for row in KEPT]


async def test_a_naive_time_is_utc_for_a_column_with_a_zone(server: RunningServer, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE naive (a timestamptz, b timestamp, c numeric, d numeric)")
    aware = dt.datetime(2026, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    await send(server, "naive", {"a": aware.replace(tzinfo=None), "b": aware, "c": math.inf, "d": 10**30})
    assert tuple(await sql.fetchrow("SELECT * FROM naive")) == (
        dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC),
        dt.datetime(2026, 1, 2, 1),  # noqa: DTZ001 - a column without a zone
        None,
        10**30,
    )


@pytest.mark.parametrize("kind", ["text", "jsonb"])
@pytest.mark.parametrize("row", [row for row in VALUES if row.is_dead_letter], ids=lambda row: row.said)
@pytest.mark.parametrize("is_key", [False, True], ids=["value", "key"])
async def test_what_no_column_takes_is_a_dead_letter_beside_its_neighbours(
    server: RunningServer, sql: asyncpg.Connection, row: Row, kind: str, is_key: bool
) -> None:
    await sql.execute(f"CREATE TABLE odd (v {kind}, n int)")
    lines = [Encoder()(item)[0] for item in ({"n": 1}, {"v": {row.value: 1} if is_key else row.value}, {"n": 2})]
    answer = await asyncio.to_thread(Asker(server.port).send, "odd", body=b"\n".join(lines), prefer="wait=30")
    assert (answer.status, answer.json["succeeded"], answer.json["failed"]) == (207, 2, 1)
    (error,) = answer.json["errors"]
    assert error["index"] == 1
    assert await sql.fetchval("SELECT array_agg(n ORDER BY n) FROM odd") == [1, 2]
    letter = await asyncio.to_thread(Asker(server.port).get, f"/v1/dead-letters/{error['dead_letter']}")
    assert letter.status == 200
