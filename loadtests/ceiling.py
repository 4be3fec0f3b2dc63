"""The ceiling: what asyncpg and PostgreSQL take when the rows are ready tuples and nothing else has to be done.

Append: one COPY, one transaction, a batch. Upsert: COPY into a temporary staging table, one INSERT … SELECT … ON
CONFLICT that leaves unchanged rows alone, one transaction a batch. No HTTP, no JSON, no validation, no ledger.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Literal

import asyncpg

from loadtests.items import Row, Shape
from loadtests.measure import Outcome

Mode = Literal["append", "upsert"]
Gate = Callable[[], Awaitable[None]]


async def fill(
    dsn: str,
    table: str,
    shape: Shape,
    mode: Mode,
    batches: Sequence[Sequence[Row]],
    *,
    warm_up: Sequence[Sequence[Row]],
    connections: int,
    gate: Gate,
) -> Outcome:
    """Write `batches` through `connections`; the clock starts after `warm_up` and `gate`."""
    opened = [await asyncpg.connect(dsn) for _ in range(connections)]
    try:
        if mode == "upsert":
            for connection in opened:
                await connection.execute(_staging(table))
        write = _appender(table, shape) if mode == "append" else _upserter(table, shape)
        await _each(opened, iter(warm_up), write)
        await gate()
        started = time.perf_counter()
        latencies = await _each(opened, iter(batches), write)
        return Outcome(time.perf_counter() - started, tuple(latencies), items=sum(map(len, batches)))
    finally:
        for connection in opened:
            await connection.close()


Write = Callable[[asyncpg.Connection, Sequence[Row]], Awaitable[None]]


async def _each(
    connections: Sequence[asyncpg.Connection], batches: Iterator[Sequence[Row]], write: Write
) -> list[float]:
    """Every batch once, on whichever connection is free; the seconds that each took."""
    latencies: list[float] = []

    async def work(connection: asyncpg.Connection) -> None:
        for rows in batches:
            started = time.perf_counter()
            await write(connection, rows)
            latencies.append(time.perf_counter() - started)

    async with asyncio.TaskGroup() as group:
        for number, connection in enumerate(connections):
            group.create_task(work(connection), name=f"ceiling-{number}")
    return latencies


def _appender(table: str, shape: Shape) -> Write:
    async def write(connection: asyncpg.Connection, rows: Sequence[Row]) -> None:
        await connection.copy_records_to_table(table, records=rows, columns=shape.names)

    return write


def _upserter(table: str, shape: Shape) -> Write:
    statement = _merge(table, shape)

    async def write(connection: asyncpg.Connection, rows: Sequence[Row]) -> None:
        async with connection.transaction():
            await connection.copy_records_to_table("staging", records=rows, columns=shape.names)
            await connection.execute(statement)

    return write


def _staging(table: str) -> str:
    return f"CREATE TEMPORARY TABLE staging (LIKE {table}) ON COMMIT DELETE ROWS"


def _merge(table: str, shape: Shape) -> str:
    names = ", ".join(shape.names)
    others = shape.names[1:]
    assignments = ", ".join(f"{name} = excluded.{name}" for name in others)
    old, new = (", ".join(f"{side}.{name}" for name in others) for side in ("stored", "excluded"))
    return (
        f"INSERT INTO {table} AS stored ({names}) SELECT {names} FROM staging ORDER BY {shape.key} "
        f"ON CONFLICT ({shape.key}) DO UPDATE SET {assignments} WHERE ({old}) IS DISTINCT FROM ({new})"
    )
