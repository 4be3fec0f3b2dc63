"""One crawl, in a process of its own: `python -m loadtests.pipeline.crawl ORDER` prints what it found, both as JSON."""

import gc
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import orjson
import scrapy
from scrapy import signals
from scrapy.crawler import AsyncCrawlerProcess
from scrapy.http import Response

from loadtests.items import Item
from loadtests.pipeline.contenders import settings_of
from loadtests.pipeline.listings import KINDS, maker, table_of
from loadtests.pipeline.parsing import from_html, from_json
from loadtests.pipeline.plan import ONE_PAGE, PAGE_HTML, PAGE_JSON, Crawl, Order

_SETTINGS = {
    "LOG_LEVEL": "INFO",  # as in production: at DEBUG each item is a line of the log, which costs more than any pipeline
    "TELNETCONSOLE_ENABLED": False,
    "REMOTE_CONTROL_ENABLED": False,
}
_PARSED: dict[str, tuple[str, Callable[[Response], Iterator[Item]]]] = {
    PAGE_JSON: ("json", from_json),
    PAGE_HTML: ("html", from_html),
}
"""Where the pages that are really parsed lie, and how."""


class Clock:
    """Starts once, with the first callback."""

    def __init__(self) -> None:
        self._began: tuple[float, float] | None = None
        self._last = 0.0

    def start(self) -> None:
        if self._began is None:
            self._began = (time.perf_counter(), time.process_time())

    def last(self) -> None:
        """Nothing is in the pipelines any more."""
        self._last = time.perf_counter()

    def stop(self) -> tuple[float, float, float]:
        """Seconds, CPU seconds, and seconds since the last item."""
        now, cpu = time.perf_counter(), time.process_time()
        assert self._began is not None, "the crawl got no page"
        return now - self._began[0], cpu - self._began[1], now - self._last


class Listings(scrapy.Spider):
    """Most of its pages hold nothing: items are made from their numbers, so that no parsing hides what a pipeline costs.

    Those of `page-json` and `page-html` hold every item, and are parsed as any spider would.
    """

    def __init__(self, order: Order, clock: Clock) -> None:
        super().__init__(table_of("dict"))
        self._order = order
        self._clock = clock
        self._make = maker(order.kind, order.seed)

    async def start(self) -> AsyncIterator[Any]:
        if self._order.shape in _PARSED:
            folder, _ = _PARSED[self._order.shape]
            address = f"{self._order.pages}/{folder}/{self._order.items}/{self._order.seed}"
            yield scrapy.Request(address, self.parse_listings)
            return
        if self._order.shape == ONE_PAGE:
            yield scrapy.Request(f"{self._order.pages}/all", self.parse_all)
            return
        for number in range(self._order.items):
            yield scrapy.Request(f"{self._order.pages}/{number}", self.parse_one, cb_kwargs={"number": number})

    def parse_all(self, _: Response) -> Iterator[Any]:
        self._clock.start()
        for number in range(self._order.items):
            yield self._make(number)

    def parse_listings(self, response: Response) -> Iterator[Any]:
        self._clock.start()
        make = KINDS[self._order.kind]
        _, listings = _PARSED[self._order.shape]
        for fields in listings(response):
            yield make(**fields)

    def parse_one(self, _: Response, number: int) -> Iterator[Any]:
        self._clock.start()
        yield self._make(number)


def crawl(order: Order) -> Crawl:
    """From a process without a loop, once."""
    clock = Clock()
    process = AsyncCrawlerProcess({**_SETTINGS, **settings_of(order)})
    crawler = process.create_crawler(Listings)
    # Whenever nothing is left to do; the latest one stands before the spider is closed.
    crawler.signals.connect(clock.last, signals.spider_idle)
    process.crawl(crawler, order=order, clock=clock)
    gc.collect()
    gc.freeze()  # the libraries are not looked through while the clock runs
    process.start()
    seconds, cpu_seconds, closing_seconds = clock.stop()
    assert crawler.stats is not None
    found = crawler.stats.get_stats()
    return Crawl(
        items=found.get("item_scraped_count", 0),
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        closing_seconds=closing_seconds,
        reason=found.get("finish_reason", "none"),
        errors=found.get("log_count/ERROR", 0) + found.get("log_count/CRITICAL", 0),
    )


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(crawl(Order(**orjson.loads(sys.argv[1])))))
