"""The item pipeline: takes each item once, and sees to it at the end that every item is somewhere.

Nothing is opened before the first item: no connection, no task, no file; of a crawl only whether the spool can be written is
tried, and the server asked where BATCHING_START_CHECK wants it. A crawl without items sends at its end what earlier ones left.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Self

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured

from scrapy_batching.assembly import Surroundings, assemble, start_check
from scrapy_batching.errors import Mistake, StartCheckFailed
from scrapy_batching.intake import Intake
from scrapy_batching.life import Life
from scrapy_batching.settings.options import Settings
from scrapy_batching.settings.places import require_asyncio, spool_directory
from scrapy_batching.settings.reading import is_enabled, read_settings
from scrapy_batching.settings.tables import table_of_dicts
from scrapy_batching.spool.crawl import mistakes_of
from scrapy_batching.start_check import is_crawl
from scrapy_batching.water import Water


class BatchingPipeline:
    """Gathers a crawl's items into batches and delivers them to the ingestion server.

    Raises SettingsRefused, AsyncioMissing or StartCheckFailed at the start of a crawl that cannot deliver, NotConfigured
    where `BATCHING_ENABLED` is False.
    """

    def __init__(self, intake: Intake, life: Life, opened: Callable[[], Awaitable[None]] | None = None) -> None:
        self._intake = intake
        self._life = life
        self._opened = opened
        self._forget: Callable[[], None] | None = None
        """Set where the crawl did not start. What closes until then wants the spider: other pipelines too."""
        # Taken once, not for every item.
        self._is_wanted = intake.is_wanted
        self._take = intake.take_quickly

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Reads the settings and hears of the crawl's end. No loop is needed yet."""
        if not is_enabled(crawler.settings):
            raise NotConfigured
        try:
            return cls._made(crawler)
        except Exception:
            # Scrapy 2.14 tells a crawl that did not start by its missing spider alone; else it ends with exit code 0.
            crawler.spider = None
            raise

    @classmethod
    def _made(cls, crawler: Crawler) -> Self:
        name = str(crawler.spidercls.name if crawler.spider is None else crawler.spider.name)

        def crawls() -> bool:
            return is_crawl(crawling=crawler.crawling, start=getattr(crawler.spider, "start", None))

        def further(options: Settings) -> list[Mistake]:
            # Tried with a file: what is no crawl leaves no trace, not even for a moment.
            mistakes = mistakes_of(spool_directory(options, crawler.settings)) if crawls() else []
            return [*table_of_dicts(name, options.tables), *mistakes]

        settings = read_settings(crawler.settings, further)
        require_asyncio()
        directory = spool_directory(settings, crawler.settings)

        async def stop(reason: str) -> None:
            if crawler.engine is not None:
                await crawler.engine.close_spider_async(reason=reason)

        assert crawler.stats is not None
        around = Surroundings(
            name=name,
            spider=crawler.spider,
            stats=crawler.stats,
            signals=crawler.signals,
            water=Water.of(crawler),
            directory=directory,
            stop=stop,
        )
        check = start_check(settings, around)

        intake, life = assemble(settings, around)

        def forget() -> None:
            crawler.spider = None  # as in from_crawler

        async def opened() -> None:
            if not crawls():
                return
            if check is not None:
                try:
                    await check()
                except StartCheckFailed:
                    pipeline._forget = forget
                    raise
            life.is_crawl = True

        pipeline = cls(intake, life, opened)
        # Held weakly there; the engine holds every pipeline until it is gone itself.
        crawler.signals.connect(pipeline.spider_idle, signals.spider_idle)
        crawler.signals.connect(pipeline.spider_closed, signals.spider_closed)
        crawler.signals.connect(pipeline.engine_stopped, signals.engine_stopped)
        return pipeline

    @property
    def crawl(self) -> str:
        """The crawl's id on the server."""
        return self._life.crawl

    async def open_spider(self) -> None:
        """Before the first request. Raises StartCheckFailed where `BATCHING_START_CHECK` wants it."""
        if self._opened is not None:
            await self._opened()

    def process_item(self, item: Any) -> Any:
        """Takes the item as it is now, and returns the same object. Never raises and never waits."""
        if self._is_wanted is not None and not self._is_wanted(item):
            return item
        if self._life.is_begun:
            self._take(item)
        else:
            self._life.begin()
            self._intake.take(item)
        return item

    def spider_idle(self) -> None:
        """Nothing comes for now: what is there need not wait for more."""
        self._intake.flush("idle")

    async def close_spider(self) -> None:
        """Delivers what is left."""
        await self._life.drained()

    async def spider_closed(self, reason: str) -> None:
        """Delivers what is left, should `close_spider` have been cut off by another pipeline, and closes the crawl."""
        await self._life.ended(reason)
        if self._forget is not None:
            self._forget()

    async def engine_stopped(self) -> None:
        """The same once more: a signal that comes while a spider closes skips the rest of its closing."""
        await self._life.ended("shutdown")
