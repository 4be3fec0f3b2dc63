"""Every queue; both sinks and both ledgers, each with the same way to prepare it and to look into it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from ingest_server.model import TableName
from ingest_server.ports import BatchQueue, Ledger, Sink
from ingest_server.postgres.connections.pool import open_pool
from ingest_server.postgres.embedded.embedded import EmbeddedPostgres
from ingest_server.postgres.ledger.ledger import PostgresLedger
from ingest_server.postgres.sink import PostgresSink
from ingest_server.postgres.tables.plans import Plans
from tests.conftest import dsn_of
from tests.contracts.queues import KINDS, Make, queue_of
from tests.fakes import FakeLedger, FakeSink


class FakeWorld:
    def __init__(self) -> None:
        self.ledger: Ledger = FakeLedger()
        self.sink: Sink = FakeSink(self.ledger)

    async def make_table(self, name: str) -> None:
        self.sink.make_table(name)

    async def rows(self, name: str) -> list[int]:
        return sorted(self.sink.rows[TableName("public", name)])

    async def goes_away(self) -> None:
        self.ledger.is_away = True


class PostgresWorld:
    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", connection: asyncpg.Connection) -> None:
        self._pool = pool
        self._connection = connection
        plans = Plans(pool, models={}, options={}, create_tables=False)
        self.sink: Sink = PostgresSink(pool, plans, _now)
        self.ledger: Ledger = PostgresLedger(pool, _now)

    async def make_table(self, name: str) -> None:
        # over an expression: a unique column would be the table's key, and its rows would be updated
        await self._connection.execute(f"CREATE TABLE {name} (a int NOT NULL); CREATE UNIQUE INDEX ON {name} ((a + 0))")

    async def rows(self, name: str) -> list[int]:
        return [row["a"] for row in await self._connection.fetch(f"SELECT a FROM {name} ORDER BY a")]

    async def goes_away(self) -> None:
        self._pool.terminate()


@pytest.fixture(params=KINDS)
async def make_queue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Make]:
    """Makes queues that hold so many batches of two small items, and are closed at the end."""
    made: list[BatchQueue] = []

    async def make(room: int = 1000) -> BatchQueue:
        queue = queue_of(request.param, tmp_path, room)
        made.append(queue)
        await queue.open()
        return queue

    yield make
    for queue in made:
        await queue.close()


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(params=["fake", "postgres"])
async def world(request: pytest.FixtureRequest, contract_database: str) -> AsyncIterator[FakeWorld | PostgresWorld]:
    if request.param == "fake":
        yield FakeWorld()
        return
    pool = await open_pool(contract_database, size=3, statement_seconds=30)
    connection = await asyncpg.connect(contract_database)
    await connection.execute(
        "DROP TABLE IF EXISTS things; TRUNCATE ingest.batches, ingest.crawls, ingest.dead_letters, ingest.retries"
    )
    yield PostgresWorld(pool, connection)
    pool.terminate()
    await connection.close()


@pytest.fixture(scope="session")
def contract_database(postgres: EmbeddedPostgres) -> str:
    async def make() -> None:
        admin = await asyncpg.connect(postgres.dsn)
        await admin.execute("CREATE DATABASE contracts TEMPLATE template_ingest")
        await admin.close()

    asyncio.run(make())
    return dsn_of(postgres, "contracts")
