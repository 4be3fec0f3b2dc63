"""The item pipeline: takes each item once, and sees to it at the end that every item is somewhere.

Nothing is opened before the first item: no connection, no task, no file.
"""

import asyncio
import atexit
import os
import time
from typing import Any, Self

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.utils.asyncio import is_asyncio_available

from scrapy_batching.batcher import Batch, Cause, OpenBatches
from scrapy_batching.client import Client, Way
from scrapy_batching.delivery import Delivery
from scrapy_batching.encode import Encoder
from scrapy_batching.errors import AsyncioMissing, ItemNotEncodable
from scrapy_batching.names import crawl_name, quote_part, snake_case
from scrapy_batching.settings import Settings, read_settings, spool_directory
from scrapy_batching.spool import Spool
from scrapy_batching.telemetry import Telemetry
from scrapy_batching.water import Water

_LEAST_CLOSE_SECONDS = 5.0
"""For the one try to close the crawl on the server, where delivering has used up all the time."""


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
        telemetry: Telemetry,
        water: Water,
        crawl: str,
    ) -> None:
        self.crawl = crawl
        self._settings = settings
        self._spider = spider
        self._delivery = delivery
        self._client = client
        self._telemetry = telemetry
        self._water = water
        self._encode = Encoder()
        self._tables: dict[type, str] = {}
        self._open = OpenBatches(
            most_items=settings.batch_items,
            most_bytes=settings.batch_bytes,
            most_age=settings.batch_age,
            clock=time.monotonic,
        )
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
        _require_asyncio()
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
        spool = Spool(
            spool_directory(settings, crawler.settings),
            crawl=crawl,
            token_variable="BATCHING_TOKEN" if settings.token else None,
        )
        water = Water.of(crawler)
        water.limit(settings.high_water_items, settings.high_water_bytes)
        client = Client(way, telemetry)
        delivery = Delivery(
            client, spool, telemetry, senders=settings.concurrency, address=way.batches, released=water.fall
        )
        pipeline = cls(
            settings, spider=name, delivery=delivery, client=client, telemetry=telemetry, water=water, crawl=crawl
        )
        # Held weakly there; the engine holds every pipeline until it is gone itself.
        crawler.signals.connect(pipeline.spider_idle, signals.spider_idle)
        crawler.signals.connect(pipeline.spider_closed, signals.spider_closed)
        crawler.signals.connect(pipeline.engine_stopped, signals.engine_stopped)
        return pipeline

    def process_item(self, item: Any) -> Any:
        """Takes the item as it is now, and returns the same object. Never raises and never waits."""
        self._telemetry.enqueued += 1
        try:
            line, is_altered = self._encode(item)
        except ItemNotEncodable as error:
            self._begin()
            self._telemetry.rejected(error)
            return item
        if is_altered:
            self._telemetry.altered(type(item).__qualname__)
        try:
            table = self._tables[type(item)]
        except KeyError:
            table = self._tables[type(item)] = self._table_of(item)
        # Each line has its LF in the body.
        self._water.rise(len(line) + 1)
        closed = self._open.add(table, line)
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
            atexit.register(self._at_exit)

    def _table_of(self, item: Any) -> str:
        return quote_part(self._spider if isinstance(item, dict) else snake_case(type(item).__name__))

    def _put(self, closed: tuple[Batch, ...]) -> None:
        for batch in closed:
            self._telemetry.closed(batch)
            self._delivery.put(batch)
        if closed:
            self._publish()

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
        if self._drain is None or (self._drain.done() and self._water.items):
            self._drain = asyncio.create_task(self._drain_all(), name="scrapy_batching drain")
        await asyncio.shield(self._drain)

    async def _drain_all(self) -> None:
        self._give_up_at = time.monotonic() + self._settings.close_timeout
        self._flush("close")
        await self._delivery.finish(self._settings.close_timeout)
        self._publish()

    async def _ended(self, reason: str) -> None:
        await self._drained()
        if not self._is_begun and self._farewell is None:
            # A crawl without items has its zeros, and nobody else hears of it.
            self._publish()
            return
        if self._farewell is None:
            self._farewell = asyncio.create_task(self._take_leave(reason), name="scrapy_batching farewell")
        await asyncio.shield(self._farewell)

    async def _take_leave(self, reason: str) -> None:
        """Closes the crawl on the server, says how it went, and lets go of everything that was opened."""
        left = max(self._give_up_at - time.monotonic(), _LEAST_CLOSE_SECONDS)
        totals = {**self._telemetry.totals, "reason": reason}
        try:
            server = await asyncio.wait_for(self._client.close_crawl(totals, self._give_up_at), left)
        except TimeoutError:
            server = None
        except Exception as error:
            self._telemetry.defect("closing the crawl on the server", error)
            server = None
        self._publish()
        self._telemetry.summary(self.crawl, reason, server)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._delivery.stop()
        await self._client.close()
        self._is_begun = False
        atexit.unregister(self._at_exit)

    def _at_exit(self) -> None:
        """The last resort of a crawl that was ended by force: the loop is gone, the disk is not."""
        if os.getpid() != self._pid:
            return
        for batch in self._open.close_all("close"):
            self._telemetry.closed(batch)
            self._delivery.hold(batch)
        self._delivery.spool_rest("the crawl was ended by force")
        self._publish()
        self._telemetry.summary(self.crawl, "forced", None)


def _require_asyncio() -> None:
    try:
        is_available = is_asyncio_available()
    except RuntimeError as error:  # neither a loop nor a reactor
        raise AsyncioMissing from error
    if not is_available:
        raise AsyncioMissing
