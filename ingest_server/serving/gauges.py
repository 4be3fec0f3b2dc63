"""What is read when somebody asks for metrics, and what the pulse looks at to warn an operator."""

from collections.abc import Mapping

import asyncpg

from ingest_server.admission import Admission, Memory
from ingest_server.ports import BatchQueue
from ingest_server.postgres.connections.pool import waiting_for
from ingest_server.queues.journaled import JournaledQueue
from ingest_server.settings import Settings
from ingest_server.telemetry import Telemetry
from ingest_server.workers import Workers


class Fullness:
    """How full the queue is. What the settings say is read once: the limit on memory may be the container's, in files."""

    def __init__(self, settings: Settings, queue: BatchQueue, admission: Admission) -> None:
        self._queue = queue
        self._admission = admission
        self._journal_bytes = settings.journal_bytes
        self.items = settings.queue_items
        self.body_bytes = settings.body_bytes

    @property
    def ratio(self) -> float:
        """The share of the room that is taken, of what fills first: what may wait, or what may be in memory and arrive."""
        queue = self._queue
        # bodies of more than a few kilobytes are refused from three quarters on: see `admission.rooms`
        arriving = min(1.0, (queue.held_bytes + self._admission.receiving_bytes) / (self.body_bytes * 3 / 4))
        if isinstance(queue, JournaledQueue):
            return max(queue.journal_bytes / self._journal_bytes, arriving)
        return max(queue.items / self.items, arriving)


def watch_gauges(
    telemetry: Telemetry,
    fullness: Fullness,
    queue: BatchQueue,
    admission: Admission,
    memory: Memory,
    workers: Workers,
    pools: "Mapping[str, asyncpg.Pool[asyncpg.Record]]",
) -> None:
    """The gauges of queue, memory, workers and pools; `pools` by what they are for."""
    watch = telemetry.watch
    watch("ingest_queue_batches", "Batches that wait or are being written", lambda: queue.batches)
    watch("ingest_queue_items", "Items that wait or are being written", lambda: queue.items)
    watch("ingest_queue_items_capacity", "Items that may wait", lambda: fullness.items)
    watch("ingest_queue_bytes", "Decoded bytes that wait or are being written", lambda: queue.bytes)
    watch("ingest_queue_bytes_capacity", "Decoded bytes that may wait", lambda: fullness.body_bytes)
    watch("ingest_queue_held_bytes", "Decoded bytes that are in memory", lambda: queue.held_bytes)
    watch("ingest_queue_set_aside", "Batches that wait aside for their next try", lambda: queue.set_aside_count)
    watch("ingest_parked_batches", "Batches of parked tables", lambda: queue.parked.batches)
    watch("ingest_parked_bytes", "Decoded bytes of batches of parked tables", lambda: queue.parked.bytes)
    watch("ingest_queue_full_ratio", "How full the queue is; 503 at 1", lambda: fullness.ratio)
    watch("ingest_receiving_bytes", "Bytes of bodies that arrive", lambda: admission.receiving_bytes)
    watch("ingest_memory_bytes", "Resident memory", lambda: memory.resident)
    watch("ingest_memory_limit_bytes", "Resident memory above which nobody is let in", lambda: memory.limit)
    watch("ingest_memory_hard_limit_bytes", "Resident memory above which less is written", lambda: memory.hard_limit)
    watch("ingest_workers", "Workers", lambda: workers.alive)
    watch("ingest_workers_allowed", "Workers that may have a batch now", lambda: workers.allowed)
    for name, pool in pools.items():
        _watch_pool(telemetry, name, pool)


def _watch_pool(telemetry: Telemetry, name: str, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    watch = telemetry.watch
    watch("ingest_pool_connections", "Connections to PostgreSQL", pool.get_size, pool=name)
    watch("ingest_pool_connections_capacity", "Connections that may be open", pool.get_max_size, pool=name)
    watch(
        "ingest_pool_connections_in_use",
        "Connections that somebody has",
        lambda: pool.get_size() - pool.get_idle_size(),
        pool=name,
    )
    watch("ingest_pool_waiting", "Who waits for a connection", lambda: waiting_for(pool), pool=name)


def look(telemetry: Telemetry, fullness: Fullness, memory: Memory) -> None:
    """Measure what an operator may have to be warned of."""
    telemetry.measured(
        queue=fullness.ratio,
        lag=telemetry.oldest_seconds,
        errors=telemetry.failed_share,
        memory=memory.resident / memory.limit,
    )
