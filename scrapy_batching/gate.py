"""The gate: while too much waits to be delivered, the spider is not asked for more.

Waiting in `process_item` would hold nobody: Scrapy lets thousands of responses, and any number of start items, in.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self

from scrapy.crawler import Crawler
from scrapy.http import Response

from scrapy_batching.water import Water

_LOOK_SECONDS = 0.25


class BatchingGate:
    """A spider middleware; it lets through what the spider yields while the water of its crawl is low.

    It never holds a crawl that is stopping. Without the pipeline it is always open.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._water = Water.of(crawler)
        self._look: asyncio.TimerHandle | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        """Made by Scrapy."""
        return cls(crawler)

    async def process_start(self, start: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """What `Spider.start()` yields."""
        async for one in start:
            if self._water.is_high:
                await self._low()
            yield one

    async def process_spider_output(self, response: Response, result: AsyncIterator[Any]) -> AsyncIterator[Any]:  # noqa: ARG002 - Scrapy passes it by this name
        """What a callback yields."""
        async for one in result:
            if self._water.is_high:
                await self._low()
            yield one

    async def _low(self) -> None:
        if self._is_stopping():
            return
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._see)
        await self._water.low()

    def _see(self) -> None:
        """Scrapy says nothing when a crawl begins to stop, so somebody has to look, as long as the water is high."""
        self._look = None
        if self._is_stopping():
            self._water.release()
        elif self._water.is_high:
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._see)

    def _is_stopping(self) -> bool:
        if not self._crawler.crawling:
            return True
        # After CLOSESPIDER_* and CloseSpider only the engine's own slot knows. With an engine that has none the crawl
        # still ends: its closing waits for the gate, and the gate for the server.
        engine = vars(self._crawler.engine)
        if "_slot" not in engine:
            return False
        return engine["_slot"] is None or engine["_slot"].closing is not None
