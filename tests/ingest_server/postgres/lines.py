"""Queue, workers, delivery and parking over a real PostgreSQL, in the test's own process and with short pauses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg

from ingest_server.admission import DrainRate
from ingest_server.backoff import Backoff
from ingest_server.delivery import Delivery
from ingest_server.model import Batch
from ingest_server.parking.parking import Parking
from ingest_server.postgres.connections.pool import open_pool
from ingest_server.postgres.ledger.parked import PostgresParkedTables
from ingest_server.postgres.sink import PostgresSink
from ingest_server.queues.memory import MemoryQueue
from ingest_server.serving.assembly import now
from ingest_server.statuses import Statuses
from ingest_server.telemetry import Telemetry
from ingest_server.workers import Workers
from tests.ingest_server.postgres.stores import store_over

SHORT = Backoff(0.01, 0.05)


@dataclass(frozen=True, slots=True)
class Line:
    queue: MemoryQueue
    statuses: Statuses
    parking: Parking
    telemetry: Telemetry
    pool: "asyncpg.Pool[asyncpg.Record]"

    async def put(self, *batches: Batch) -> None:
        for batch in batches:
            await self.queue.put(batch)
            self.statuses.accepted(batch.head)

    async def drained(self, seconds: float = 40) -> None:
        async with asyncio.timeout(seconds):
            await self.queue.drain()

    def figure(self, name: str) -> float:
        return sum(
            sample.value
            for metric in self.telemetry.registry.collect()
            for sample in metric.samples
            if sample.name == name
        )

    @property
    def settled(self) -> float:
        return self.figure("ingest_batches_settled_total")


@contextlib.asynccontextmanager
async def line_over(
    dsn: str, *, workers: int = 2, statement_seconds: float = 30.0, pooler: bool = False
) -> AsyncIterator[Line]:
    """A line that delivers from now on."""
    telemetry, statuses = Telemetry(), Statuses()
    queue = MemoryQueue(max_items=1_000_000, max_bytes=10**9)
    readers = await open_pool(dsn, size=1, statement_seconds=statement_seconds, pooler=pooler)
    async with store_over(dsn, size=workers, statement_seconds=statement_seconds, pooler=pooler) as store:
        parking = Parking(*(queue, PostgresParkedTables(readers), telemetry, now), backoff=SHORT, look_seconds=0.05)
        sink = PostgresSink(store.pool, store.plans, now, parking.judge)
        delivery = Delivery(sink, telemetry, parking, pause=asyncio.sleep, backoff=SHORT, aside=SHORT)
        loop_time = asyncio.get_running_loop().time
        at_work = Workers(queue, delivery, statuses, telemetry, DrainRate(loop_time), count=workers)
        await parking.start()
        at_work.start()
        try:
            yield Line(queue, statuses, parking, telemetry, store.pool)
        finally:
            await at_work.stop()
            await parking.stop()
            await queue.close()
            readers.terminate()
