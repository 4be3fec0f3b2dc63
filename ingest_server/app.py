"""The server put together: what starts in which order, and how it stops.

Start: database, ledger's schema, models' tables, journal and workers, then the port.
Stop (SIGTERM or SIGINT): nothing more is let in, what waits is settled, then workers, port, journal, pool and
database, in that order.
"""

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

import asyncpg

from ingest_server.admission import Admission, DrainRate, Gate, Memory, Relief, keep_little
from ingest_server.api.application import application, runner
from ingest_server.api.connections import ConnectionBounds
from ingest_server.api.context import Context
from ingest_server.api.site import Site
from ingest_server.delivery import Delivery
from ingest_server.model import TableName
from ingest_server.models.loading import Model, load_models
from ingest_server.parking.parking import Parking
from ingest_server.postgres.connections.pool import READERS, pool_until_done
from ingest_server.postgres.ledger.ledger import PostgresLedger
from ingest_server.postgres.ledger.parked import PostgresParkedTables
from ingest_server.postgres.ledger.retention import PostgresRetention
from ingest_server.postgres.sink import PostgresSink
from ingest_server.serving.assembly import limits_of, now, plans_of, queue_of
from ingest_server.serving.database import database_of, prepare
from ingest_server.serving.entrance import Entrance
from ingest_server.serving.gauges import Fullness, look, watch_gauges
from ingest_server.serving.listening import refuse_taken_port, taken
from ingest_server.serving.pulse import Pulse
from ingest_server.serving.retention import Retention
from ingest_server.serving.stopping import name_what_is_gone, settle
from ingest_server.settings import Settings
from ingest_server.statuses import Statuses
from ingest_server.telemetry import Telemetry
from ingest_server.workers import Workers

log = logging.getLogger("ingest_server")

# Connections that may wait to be accepted: a thousand clients that come at once are no attack. The system may allow less.
_BACKLOG = 4096


async def serve(settings: Settings, *, announce: Callable[[str], None]) -> int:
    """Run until a signal. Returns the exit code: 0 when what was accepted is settled or in the journal, else 1.

    `announce` is told the URL once batches are taken in. Raises `StartRefused` where the server cannot start.
    """
    keep_little()
    models = load_models(settings)
    stop, hurry = asyncio.Event(), asyncio.Event()
    _listen_for_signals(stop, hurry)
    telemetry = Telemetry(schema=settings.schema_)
    entrance = Entrance(settings, telemetry)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, entrance.read_again)
    await refuse_taken_port(settings)
    async with AsyncExitStack() as stack:
        dsn = await database_of(settings, stack)
        workers_pool, readers_pool = [
            await stack.enter_async_context(
                pool_until_done(dsn, size=size, statement_seconds=settings.statement_timeout, pooler=settings.pooler)
            )
            for size in (settings.workers, READERS)
        ]
        destination = await prepare(readers_pool, models, stop, dsn)
        if destination is None:
            return 0
        server = Server(settings, models, workers_pool, readers_pool, telemetry, destination, entrance)
        url = await server.start()
        # What was imported stays: without this a full collection looks at 100,000 objects and takes 50 ms.
        gc.collect()
        gc.freeze()
        announce(url)
        entrance.warn()
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
        entrance: Entrance,
    ) -> None:
        self._entrance = entrance
        self._settings = settings
        self._telemetry = telemetry
        self._statuses = Statuses()
        self._queue = queue_of(settings, destination, telemetry, self._statuses)
        rate = DrainRate(time.monotonic)
        memory = Memory(time.monotonic, settings.memory_bytes, settings.memory_hard_bytes)
        gate = Gate(settings.workers, settings.memory_bytes // 4)
        self._admission = Admission(self._queue, rate, memory, max_bytes=settings.body_bytes)
        relief = Relief(memory, gate, self._admission, telemetry, clock=time.monotonic)
        self._parking = Parking(self._queue, PostgresParkedTables(readers_pool), telemetry, now)
        sink = PostgresSink(workers_pool, plans_of(settings, workers_pool, models), now, self._parking.judge, telemetry)
        delivery = Delivery(sink, telemetry, self._parking, pause=asyncio.sleep)
        self._workers = Workers(
            self._queue, delivery, self._statuses, telemetry, rate, count=settings.workers, gate=gate
        )
        pools = {"workers": workers_pool, "readers": readers_pool}
        fullness = Fullness(settings, self._queue, self._admission)
        watch_gauges(telemetry, fullness, self._queue, self._admission, memory, self._workers, pools)

        def look_around() -> None:
            look(telemetry, fullness, memory)
            entrance.look()
            relief.look()

        self._pulse = Pulse(telemetry, look_around)
        self._retention = Retention(PostgresRetention(readers_pool), settings.keeping, telemetry, now)
        # The API asks through connections of its own: a catalogue question does not wait behind the workers' COPYs.
        readers = PostgresSink(readers_pool, plans_of(settings, readers_pool, models), now)
        self._runner = runner(
            application(
                Context(
                    admission=self._admission,
                    queue=self._queue,
                    statuses=self._statuses,
                    parking=self._parking,
                    sink=readers,
                    ledger=PostgresLedger(readers_pool, now),
                    telemetry=telemetry,
                    clock=now,
                    workers_alive=lambda: self._workers.alive,
                    schema=settings.schema_,
                    limits=limits_of(settings),
                    keeping=settings.keeping,
                    access=entrance.access,
                )
            ),
            access_log=settings.access_log,
            bounds=ConnectionBounds(settings.max_connections, settings.head_timeout, settings.idle_timeout),
            cut=telemetry.connection_cut,
        )

    async def start(self) -> str:
        """Read the journal, start workers, then listen. Returns the URL. Raises `StartRefused`: no journal, no port."""
        await self._parking.start()
        await self._queue.open()
        self._workers.start()
        self._pulse.start()
        await self._runner.setup()
        settings = self._settings
        try:
            context = None if self._entrance.certificate is None else self._entrance.certificate.context
            site = Site(
                *(self._runner, settings.host, settings.port),
                context=context,
                handshake_seconds=settings.head_timeout,
                backlog=_BACKLOG,
            )
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            await self._pulse.stop()
            await self._workers.stop()
            await self._parking.stop()
            await self._queue.close()
            raise taken(settings, error) from None
        self._retention.start()
        host, port = self._runner.addresses[0][:2]
        scheme = self._entrance.scheme
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def stop(self, hurry: asyncio.Event) -> int:
        """Let nothing more in, settle what waits, and end. `hurry` cuts the settling short."""
        self._admission.close()
        await self._retention.stop()
        if self._queue.batches:
            log.warning("stopping: %d batches are settled first; a second signal stops at once", self._queue.batches)
        await settle(self._queue, self._telemetry, self._settings, hurry)
        await self._workers.stop()
        await self._pulse.stop()
        await self._parking.stop()
        self._statuses.give_up()
        await self._runner.cleanup()
        left, items = self._queue.batches, self._queue.items
        await self._queue.close()
        if not left:
            return 0
        if self._queue.promise == "journaled":
            log.warning("%d batches with %d items stay in the journal: the next start settles them", left, items)
            return 0
        name_what_is_gone(self._statuses, self._telemetry, self._settings.schema_, left, items)
        return 1


def _listen_for_signals(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    def on_signal() -> None:
        if stop.is_set():
            hurry.set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
