"""The server put together: what starts in which order, and how it stops.

Start: database, ledger's schema, models' tables, journal and workers, then the port.
Stop (SIGTERM or SIGINT): nothing more is let in, what waits is settled, then workers, port, journal, pool and
database, in that order.
"""

import asyncio
import logging
import math
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import asyncpg
from aiohttp import web

from ingest_server.admission import Admission, DrainRate, Memory
from ingest_server.api.application import application, runner
from ingest_server.api.context import Context, Limits
from ingest_server.backoff import Backoff
from ingest_server.delivery import Delivery
from ingest_server.errors import Contended, Misconfigured, StartRefused, Unavailable
from ingest_server.model import TableName
from ingest_server.models import Model, load_models
from ingest_server.ports import BatchQueue
from ingest_server.postgres.ddl import ensure
from ingest_server.postgres.embedded import EmbeddedPostgres
from ingest_server.postgres.ledger import PostgresLedger
from ingest_server.postgres.plans import Plans
from ingest_server.postgres.pool import connection, pool_until_done, shown_dsn
from ingest_server.postgres.schema import identity, migrate
from ingest_server.postgres.sink import PostgresSink
from ingest_server.postgres.watch import watched
from ingest_server.queues.folder import JournalFolder
from ingest_server.queues.journaled import Bounds, JournaledQueue
from ingest_server.queues.memory import MemoryQueue
from ingest_server.settings import Settings
from ingest_server.statuses import Statuses
from ingest_server.telemetry import Telemetry
from ingest_server.workers import Workers

log = logging.getLogger("ingest_server")

# Connections for everything but the workers: admission, status, totals, dead letters.
_READERS = 4
# How often a stop looks whether there is still something to wait for.
_LOOK_SECONDS = 0.1
_DSN_FILE = "postgres.dsn"


async def serve(settings: Settings, *, announce: Callable[[str], None]) -> int:
    """Run until a signal. Returns the exit code: 0 when what was accepted is settled or in the journal, else 1.

    `announce` is told the URL once batches are taken in. Raises `StartRefused` where the server cannot start.
    """
    models = load_models(settings)
    stop, hurry = asyncio.Event(), asyncio.Event()
    _listen_for_signals(stop, hurry)
    await _refuse_taken_port(settings)
    async with AsyncExitStack() as stack:
        dsn = await _database(settings, stack)
        workers_pool, readers_pool = [
            await stack.enter_async_context(
                pool_until_done(dsn, size=size, statement_seconds=settings.statement_timeout)
            )
            for size in (settings.workers, _READERS)
        ]
        telemetry = Telemetry(schema=settings.schema_)
        destination = await _prepare_database(readers_pool, models, stop, dsn)
        if destination is None:
            return 0
        server = Server(settings, models, workers_pool, readers_pool, telemetry, destination)
        url = await server.start()
        announce(url)
        await stop.wait()
        return await server.stop(hurry)


class Server:
    """Queue, workers and port over an open database."""

    def __init__(
        self,
        settings: Settings,
        models: Mapping[TableName, Model],
        workers_pool: "asyncpg.Pool[asyncpg.Record]",
        readers_pool: "asyncpg.Pool[asyncpg.Record]",
        telemetry: Telemetry,
        destination: str,
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._pools = (workers_pool, readers_pool)
        self._statuses = Statuses()
        self._queue = self._journaled(destination) if settings.journal else self._in_memory()
        rate = DrainRate(time.monotonic)
        self._memory = Memory(time.monotonic, settings.memory_bytes)
        self._admission = Admission(self._queue, rate, self._memory, max_bytes=settings.queue_bytes)
        sink = PostgresSink(workers_pool, self._plans(workers_pool, models), now)
        delivery = Delivery(sink, telemetry, pause=asyncio.sleep)
        self._workers = Workers(self._queue, delivery, self._statuses, telemetry, rate, count=settings.workers)
        # The API asks through connections of its own: a catalogue question does not wait behind the workers' COPYs.
        readers = PostgresSink(readers_pool, self._plans(readers_pool, models), now)
        self._runner = runner(
            application(
                Context(
                    admission=self._admission,
                    queue=self._queue,
                    statuses=self._statuses,
                    sink=readers,
                    ledger=PostgresLedger(readers_pool, now),
                    telemetry=telemetry,
                    clock=now,
                    workers_alive=lambda: self._workers.alive,
                    schema=settings.schema_,
                    limits=Limits(
                        settings.max_batch_items,
                        settings.max_batch_bytes,
                        settings.max_decoded_bytes,
                        settings.max_item_bytes,
                        settings.receive_timeout,
                    ),
                )
            )
        )

    async def start(self) -> str:
        """Read the journal, start workers, then listen. Returns the URL. Raises `StartRefused`: no journal, no port."""
        self._watch()
        await self._queue.open()
        self._workers.start()
        await self._runner.setup()
        settings = self._settings
        try:
            await web.TCPSite(self._runner, settings.host, settings.port).start()
        except OSError as error:
            await self._runner.cleanup()
            await self._workers.stop()
            await self._queue.close()
            raise _taken(settings, error) from None
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self, hurry: asyncio.Event) -> int:
        """Let nothing more in, settle what waits, and end. `hurry` cuts the settling short."""
        self._admission.close()
        if self._queue.batches:
            log.warning("stopping: %d batches are settled first; a second signal stops at once", self._queue.batches)
        await self._settle(hurry)
        await self._workers.stop()
        self._statuses.give_up()
        await self._runner.cleanup()
        left, items = self._queue.batches, self._queue.items
        await self._queue.close()
        if not left:
            return 0
        if self._queue.promise == "journaled":
            log.warning("%d batches with %d items stay in the journal: the next start settles them", left, items)
            return 0
        self._name_what_is_gone(left, items)
        return 1

    async def _settle(self, hurry: asyncio.Event) -> None:
        """Wait for what may settle now. What is in the journal has time: no outage, and no broken table, is waited for."""
        seconds = self._settings.drain_timeout or math.inf
        if self._queue.promise != "journaled":
            for table, trouble in self._telemetry.wrong_tables.items():
                log.warning("the stop waits for table %s: %s", table.shown(self._settings.schema_), trouble.reason)
            await _first(self._queue.drain, hurry.wait, seconds=None if seconds == math.inf else seconds)
            return
        ends = time.monotonic() + seconds
        while self._queue.batches > self._queue.set_aside_count and not self._telemetry.sink_is_away:
            left = ends - time.monotonic()
            if left <= 0 or hurry.is_set():
                return
            await _first(self._queue.drain, hurry.wait, seconds=min(left, _LOOK_SECONDS))

    def _name_what_is_gone(self, batches: int, items: int) -> None:
        log.error(
            "%d batches with %d items were accepted in memory and are not settled: their senders must send them again",
            *(batches, items),
        )
        wrong = self._telemetry.wrong_tables
        for batch in (entry.batch for entry in self._statuses.of_owner("")):
            reason = wrong[batch.table].reason if batch.table in wrong else "no time was left"
            log.error(
                "not settled: batch %s, table %s, %d items, crawl %s: %s",
                *(batch.id, batch.table.shown(self._settings.schema_), batch.total, batch.crawl or "-", reason),
            )

    def _in_memory(self) -> BatchQueue:
        return MemoryQueue(max_items=self._settings.queue_items, max_bytes=self._settings.queue_bytes)

    def _journaled(self, destination: str) -> BatchQueue:
        settings, telemetry = self._settings, self._telemetry
        # The other half is for what arrives: a queue full of bodies would let nobody in, though the disk has room.
        bounds = Bounds(settings.journal_bytes, settings.queue_bytes // 2, settings.queue_items)
        queue = JournaledQueue(
            JournalFolder(settings.journal_path, destination, telemetry),
            telemetry,
            bounds,
            restored=self._statuses.restored,
            lost=self._statuses.lost,
        )
        watch = telemetry.watch
        watch("ingest_journal_batches", "Batches in the journal", lambda: queue.batches)
        watch("ingest_journal_bytes", "Bytes in the journal, as its budget counts them", lambda: queue.journal_bytes)
        watch("ingest_journal_bytes_capacity", "Bytes that may wait there", lambda: settings.journal_bytes)
        return queue

    def _plans(self, pool: "asyncpg.Pool[asyncpg.Record]", models: Mapping[TableName, Model]) -> Plans:
        settings = self._settings
        create = settings.create_tables if settings.create_tables is not None else settings.database is None
        return Plans(
            pool,
            models={name: one.model for name, one in models.items()},
            options=settings.table_options | {name: one.options for name, one in models.items()},
            create_tables=create,
        )

    def _watch(self) -> None:
        watch, queue, settings = self._telemetry.watch, self._queue, self._settings
        watch("ingest_queue_batches", "Batches that wait or are being written", lambda: queue.batches)
        watch("ingest_queue_items", "Items that wait or are being written", lambda: queue.items)
        watch("ingest_queue_items_capacity", "Items that may wait", lambda: settings.queue_items)
        watch("ingest_queue_bytes", "Decoded bytes that wait or are being written", lambda: queue.bytes)
        watch("ingest_queue_bytes_capacity", "Decoded bytes that may wait", lambda: settings.queue_bytes)
        watch("ingest_queue_held_bytes", "Decoded bytes that are in memory", lambda: queue.held_bytes)
        watch("ingest_queue_set_aside", "Batches that wait aside for their next try", lambda: queue.set_aside_count)
        watch("ingest_receiving_bytes", "Bytes of bodies that arrive", lambda: self._admission.receiving_bytes)
        watch("ingest_memory_bytes", "Resident memory", lambda: self._memory.resident)
        watch("ingest_memory_limit_bytes", "Resident memory above which nobody is let in", lambda: self._memory.limit)
        watch("ingest_workers", "Workers", lambda: self._workers.alive)
        watch("ingest_pool_connections", "Connections to PostgreSQL", lambda: sum(p.get_size() for p in self._pools))


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


async def _refuse_taken_port(settings: Settings) -> None:
    """Bind once before anything is made: whoever meets a taken port should not wait for initdb first."""
    try:
        trial = await asyncio.get_running_loop().create_server(
            asyncio.Protocol, settings.host, settings.port, start_serving=False
        )
    except OSError as error:
        raise _taken(settings, error) from None
    trial.close()
    await trial.wait_closed()


def _taken(settings: Settings, error: OSError) -> StartRefused:
    return StartRefused(
        f"cannot listen on {settings.host}:{settings.port} ({error.strerror or error})",
        remedy="end what listens there, or choose another --port",
    )


async def _database(settings: Settings, stack: AsyncExitStack) -> str:
    if settings.database is not None:
        return settings.database.get_secret_value()
    embedded = EmbeddedPostgres(settings.data_dir)
    dsn = await asyncio.to_thread(embedded.start)
    stack.push_async_callback(asyncio.to_thread, embedded.stop)
    await stack.enter_async_context(watched(embedded))
    (settings.data_dir / _DSN_FILE).write_text(dsn + "\n")
    log.info("embedded PostgreSQL in %s: psql '%s'", embedded.data, dsn)
    return dsn


async def _prepare_database(
    pool: "asyncpg.Pool[asyncpg.Record]", models: Mapping[TableName, Model], stop: asyncio.Event, dsn: str
) -> str | None:
    """Schema and tables, however long PostgreSQL takes to come; the database's identity. None where a signal came first."""
    backoff, attempt = Backoff(base=0.2, cap=5.0), 0
    while not stop.is_set():
        try:
            async with connection(pool) as one:
                await migrate(one)
                for model in models.values():
                    await ensure(one, model.spec)
                return await identity(one)
        except (Unavailable, Contended) as error:
            if attempt == 0:
                log.error("PostgreSQL at %s cannot be used yet (%s): waiting for it", shown_dsn(dsn), error.reason)
            seconds, attempt = backoff.seconds(attempt, lambda _low, high: high), attempt + 1
            await _first(stop.wait, seconds=seconds)
        except asyncpg.exceptions.ClientConfigurationError as error:  # its text may hold a password
            raise StartRefused(
                f"settings: database is no connection string ({type(error).__name__})",
                remedy="postgresql://user@host:5432/name",
            ) from None
        except Misconfigured as error:
            raise StartRefused(
                f"PostgreSQL at {shown_dsn(dsn)} refused: {error.reason}", remedy=_remedy(error.reason)
            ) from None
    return None


def _remedy(reason: str) -> str:
    """What to do about a refusal at the start, by the SQLSTATE that it begins with."""
    remedies = {"28": "check user and password, and pg_hba.conf", "3D": "create the database, or name another one"}
    usual = "the role must own the schema ingest or have CREATE on the database, and for models CREATE on their schema"
    return remedies.get(reason[:2], usual)


async def _first(*events: Callable[[], Awaitable[object]], seconds: float | None = None) -> None:
    """Return when the first of these does, or after so many seconds."""
    tasks = [asyncio.ensure_future(event()) for event in events]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _listen_for_signals(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    def on_signal() -> None:
        if stop.is_set():
            hurry.set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
