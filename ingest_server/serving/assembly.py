"""The server's parts, put together over open pools: each from plain settings, none started."""

from collections.abc import Mapping
from datetime import UTC, datetime

import asyncpg

from ingest_server.api.context import Limits
from ingest_server.model import BatchHead, TableName
from ingest_server.models.loading import Model
from ingest_server.ports import BatchQueue
from ingest_server.postgres.tables.plans import Plans
from ingest_server.queues.folder import JournalFolder
from ingest_server.queues.journaled import Bounds, JournaledQueue
from ingest_server.queues.memory import MemoryQueue
from ingest_server.queues.share import Share
from ingest_server.settings import Settings
from ingest_server.statuses import Statuses
from ingest_server.telemetry import Telemetry


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def queue_of(settings: Settings, destination: str, telemetry: Telemetry, statuses: Statuses) -> BatchQueue:
    """The queue that the settings ask for, not open yet. `destination` is the database's identity."""
    share = Share(settings.parked_share)
    if not settings.journal:
        return MemoryQueue(max_items=settings.queue_items, max_bytes=settings.body_bytes, parked_share=share)

    def restored(batch: BatchHead) -> None:
        statuses.restored(batch)
        telemetry.restored(batch)

    def lost(batch: BatchHead) -> None:
        statuses.lost(batch)
        telemetry.lost(batch)

    # The other half is for what arrives: a queue full of bodies would let nobody in, though the disk has room.
    bounds = Bounds(settings.journal_bytes, settings.body_bytes // 2, settings.queue_items, share)
    queue = JournaledQueue(
        JournalFolder(settings.journal_path, destination, telemetry),
        telemetry,
        bounds,
        restored=restored,
        lost=lost,
    )
    watch = telemetry.watch
    watch("ingest_journal_batches", "Batches in the journal", lambda: queue.batches)
    watch("ingest_journal_bytes", "Bytes in the journal, as its budget counts them", lambda: queue.journal_bytes)
    watch("ingest_journal_bytes_capacity", "Bytes that may wait there", lambda: settings.journal_bytes)
    return queue


def plans_of(settings: Settings, pool: "asyncpg.Pool[asyncpg.Record]", models: Mapping[TableName, Model]) -> Plans:
    """What is known of tables, asked over this pool."""
    create = settings.create_tables if settings.create_tables is not None else settings.database is None
    told = settings.table_options
    return Plans(
        pool,
        models={name: one.model for name, one in models.items()},
        options=told | {name: one.options(told.get(name)) for name, one in models.items()},
        create_tables=create,
    )


def limits_of(settings: Settings) -> Limits:
    """What one request may have."""
    return Limits(
        settings.max_batch_items,
        settings.max_batch_bytes,
        settings.max_decoded_bytes,
        settings.max_item_bytes,
        settings.receive_timeout,
        settings.max_item_values,
        settings.max_batch_values,
    )
