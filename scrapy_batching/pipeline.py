"""The item pipeline: takes each item once, and sees to it at the end that every item is somewhere.

Nothing is opened before the first item: no connection, no task, no file; only whether the spool can be written is tried.
"""

import asyncio
import atexit
import os
import time
from collections.abc import Mapping
from typing import Any, Self

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from scrapy_batching.batcher import Batch, Cause, OpenBatches
from scrapy_batching.client import Client, Way
from scrapy_batching.closing import until_both_agree
from scrapy_batching.delivery import Delivery
from scrapy_batching.encode import Encoder
from scrapy_batching.errors import ItemNotEncodable
from scrapy_batching.full import REASON, Full
from scrapy_batching.leftover_telemetry import LeftoverTelemetry
from scrapy_batching.leftovers import Leftovers
from scrapy_batching.names import crawl_name, quote_part, snake_case
from scrapy_batching.settings import MEMORY_WATER, Settings, high_water, read_settings, require_asyncio, spool_directory
from scrapy_batching.spool import Spool, require_writable
from scrapy_batching.telemetry import Telemetry
from scrapy_batching.water import Water

LOW_WATER = 0.9
"""With the spool, as a share of high water: half of it may be hours away. In memory it is the half."""


class BatchingPipeline:
    """Gathers a crawl's items into batches and delivers them to the ingestion server.

    Raises SettingsRefused or AsyncioMissing at the start of a crawl that cannot deliver, NotConfigured where
    `BATCHING_ENABLED` is False.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        spider: str,
        delivery: Delivery,
        client: Client,
        spool: Spool,
        telemetry: Telemetry,
        water: Water,
        crawl: str,
        leftovers: Leftovers,
        full: Full,
    ) -> None:
        self.crawl = crawl
        self._settings = settings
        self._spider = spider
        self._delivery = delivery
        self._client = client
        self._spool = spool
        self._leftovers = leftovers
        self._full = full
        self._telemetry = telemetry
        self._water = water
        self._encode = Encoder()
        self._tables: dict[type, str] = {}
        self._open = OpenBatches(
            most_items=settings.batch_items,
            most_bytes=settings.batch_bytes,
            most_age=settings.batch_age,
            clock=time.monotonic,
            place=spool.place,
            spare=spool.spare,
        )
        self._drops = settings.when_full == "drop"
        self._sending_leftovers: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._drain: asyncio.Task[None] | None = None
        self._farewell: asyncio.Task[None] | None = None
        self._give_up_at = float("inf")
        self._is_begun = False
        self._pid = os.getpid()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Reads the settings and hears of the crawl's end. No loop is needed yet."""
        settings = read_settings(crawler.settings)
        if not settings.enabled:
            raise NotConfigured
        require_asyncio()
        name = str(crawler.spidercls.name if crawler.spider is None else crawler.spider.name)
        crawl = settings.crawl_id or crawl_name(name)
        way = Way(
            url=settings.url,
            crawl=crawl,
            token=settings.token,
            timeout=settings.timeout,
            connections=settings.concurrency + 1,
            compression=settings.compression,
            retry_base=settings.retry_base,
            retry_max=settings.retry_max,
        )
        telemetry = Telemetry(crawler.stats, spider=crawler.spider)
        water = Water.of(crawler)
        water.limit(*high_water(settings), low=LOW_WATER if settings.spool else 0.5, holds=settings.when_full != "drop")
        water.limit_memory(*MEMORY_WATER)
        directory = spool_directory(settings, crawler.settings)
        require_writable(directory)
        spool = Spool(
            directory,
            crawl=crawl,
            spider=name,
            observer=telemetry,
            is_writing=settings.spool,
            in_memory=water.rise_in_memory,
            token_variable="BATCHING_TOKEN" if settings.token else None,
        )
        client = Client(way, telemetry)

        def released(batch: Batch) -> None:
            water.fall(len(batch), batch.size, in_memory=settings.spool and batch.part is None)

        def parked(batch: Batch) -> None:
            full.parked(len(batch), batch.size, in_memory=settings.spool and batch.part is None)

        async def stop() -> None:
            if crawler.engine is not None:
                await crawler.engine.close_spider_async(reason=REASON)

        full = Full(water, telemetry, then=settings.when_full, stop=stop)

        delivery = Delivery(
            client,
            spool,
            telemetry,
            senders=settings.concurrency,
            address=way.batches,
            released=released,
            parked=parked,
        )
        pipeline = cls(
            settings,
            spider=name,
            delivery=delivery,
            client=client,
            spool=spool,
            telemetry=telemetry,
            water=water,
            crawl=crawl,
            leftovers=Leftovers(directory, way, LeftoverTelemetry(crawler.stats, spider=crawler.spider)),
            full=full,
        )
        # Held weakly there; the engine holds every pipeline until it is gone itself.
        crawler.signals.connect(pipeline.spider_idle, signals.spider_idle)
        crawler.signals.connect(pipeline.spider_closed, signals.spider_closed)
        crawler.signals.connect(pipeline.engine_stopped, signals.engine_stopped)
        return pipeline

    def process_item(self, item: Any) -> Any:
        """Takes the item as it is now, and returns the same object. Never raises and never waits.

        When it returns the item is on disk, or counted as rejected or dropped.
        """
        self._telemetry.enqueued += 1
        if self._drops and self._water.is_full:
            self._begin()
            self._telemetry.dropped()
            self._spool.count({"dropped": 1})
            return item
        try:
            line, is_altered = self._encode(item)
        except ItemNotEncodable as error:
            self._begin()
            self._telemetry.rejected(error)
            self._spool.count({"rejected": 1})
            return item
        if is_altered:
            self._telemetry.altered(type(item).__qualname__)
        try:
            table = self._tables[type(item)]
        except KeyError:
            table = self._tables[type(item)] = self._table_of(item)
        closed = self._open.add(table, line)
        # Each line has its LF in the body.
        if self._water.rise(len(line) + 1):
            self._full.rose()
        if closed:
            self._put(closed)
        if self._timer is None:
            self._begin()
            self._timer = asyncio.get_running_loop().call_later(self._settings.batch_age, self._tick)
        return item

    def spider_idle(self) -> None:
        """Nothing comes for now: what is there need not wait for more."""
        self._flush("idle")

    async def close_spider(self) -> None:
        """Delivers what is left."""
        await self._drained()

    async def spider_closed(self, reason: str) -> None:
        """Delivers what is left, should `close_spider` have been cut off by another pipeline, and closes the crawl."""
        await self._ended(reason)

    async def engine_stopped(self) -> None:
        """The same once more: a signal that comes while a spider closes skips the rest of its closing."""
        await self._ended("shutdown")

    def _begin(self) -> None:
        """With the first item, and with the first after a farewell."""
        if not self._is_begun:
            self._is_begun = True
            self._farewell = None
            self._telemetry.begun(self.crawl, self._settings.url, self._spool.directory)
            atexit.register(self._at_exit)
            if self._sending_leftovers is None:
                self._sending_leftovers = asyncio.create_task(self._leftovers.send(), name="scrapy_batching leftovers")

    def _table_of(self, item: Any) -> str:
        return quote_part(self._spider if isinstance(item, dict) else snake_case(type(item).__name__))

    def _put(self, closed: tuple[Batch, ...]) -> None:
        for batch in closed:
            self._count(batch)
            self._delivery.put(batch)
        if closed:
            self._publish()

    def _count(self, batch: Batch) -> None:
        self._telemetry.closed(batch)
        self._spool.count({"batch": str(batch.id), "table": batch.table, "items": len(batch)})

    def _publish(self) -> None:
        self._telemetry.publish(self._water.waited_seconds)

    def _flush(self, cause: Cause) -> None:
        self._put(self._open.close_all(cause))

    def _tick(self) -> None:
        """Closes what came of age. Set again even when that fails, or a slow crawl's items would wait for its end."""
        self._timer = None
        try:
            self._put(self._open.close_due())
        except Exception as error:
            self._telemetry.defect("closing a batch by its age", error)
        finally:
            due = self._open.due_in()
            if due is not None:
                # Never at once: a clock that stands still would turn the loop into a spinning one.
                self._timer = asyncio.get_running_loop().call_later(max(due, 0.01), self._tick)

    async def _drained(self) -> None:
        """Waits for the one task that delivers what is left; who waits may be cancelled, the task is not."""
        if not self._is_begun:
            return
        if self._drain is None or (self._drain.done() and self._water.moving):
            self._drain = asyncio.create_task(self._drain_all(), name="scrapy_batching drain")
        await asyncio.shield(self._drain)

    async def _drain_all(self) -> None:
        self._give_up_at = time.monotonic() + self._settings.close_timeout
        self._flush("close")
        await self._delivery.finish(self._settings.close_timeout)
        await self._finish_leftovers()
        self._publish()

    async def _finish_leftovers(self) -> None:
        """What earlier crawls left has the rest of the time; what is not delivered by then stays where it is."""
        if self._sending_leftovers is not None:
            left = self._give_up_at - time.monotonic()
            await asyncio.wait({self._sending_leftovers}, timeout=max(left, 0))
            self._sending_leftovers.cancel()
            (error,) = await asyncio.gather(self._sending_leftovers, return_exceptions=True)
            if isinstance(error, Exception):
                self._telemetry.defect("sending what earlier crawls left", error)

    async def _ended(self, reason: str) -> None:
        await self._drained()
        if not self._is_begun and self._farewell is None:
            # A crawl without items has its zeros, and nobody else hears of it.
            self._publish()
            return
        if self._farewell is None:
            self._farewell = asyncio.create_task(self._leave(reason), name="scrapy_batching farewell")
        await asyncio.shield(self._farewell)

    async def _leave(self, reason: str) -> None:
        is_told = await self._take_leave(reason)
        self._spool.end({**self._telemetry.totals, "reason": reason}, is_told=is_told)

    async def _take_leave(self, reason: str) -> bool:
        """Closes the crawl on the server, says how it went, and lets go of everything that was opened.

        Whether the server has the totals.
        """
        totals = {**self._telemetry.totals, "reason": reason}

        async def close(wait: int, give_up_at: float) -> Mapping[str, Any] | None:
            return await self._client.close_crawl(totals, give_up_at, wait=wait)

        server: Mapping[str, int] = {}
        try:
            server = await until_both_agree(close, left=self._give_up_at - time.monotonic())
        except Exception as error:
            self._telemetry.defect("closing the crawl on the server", error)
        self._publish()
        self._telemetry.summary(self.crawl, reason, server, self._spool.directory)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._delivery.stop()
        await self._client.close()
        self._is_begun = False
        atexit.unregister(self._at_exit)
        return bool(server)

    def _at_exit(self) -> None:
        """The last resort of a crawl that was ended by force: the loop is gone, the disk is not."""
        if os.getpid() != self._pid:
            return
        for batch in self._open.close_all("close"):
            self._count(batch)
            self._delivery.hold(batch)
        self._delivery.spool_rest("the crawl was ended by force")
        self._publish()
        self._telemetry.summary(self.crawl, "forced", {}, self._spool.directory)
        self._spool.end({**self._telemetry.totals, "reason": "forced"}, is_told=False)
