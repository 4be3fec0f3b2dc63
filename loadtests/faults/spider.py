"""The crawl of the laboratory: numbered items from start() and callbacks, and a witness of what was taken."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import scrapy
from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.http import Response

from loadtests.faults.hang import explain_on_signal
from loadtests.faults.sequence import Keyed, Plain, index_of, item
from loadtests.faults.witness import TAKEN, YIELDED, Witness

_PAGE = 1000


class Numbers(scrapy.Spider):
    """`-a witness=FILE -a crawl=ID -a items=N -a start=items|requests`.

    Pages are data: addresses, so that nothing but items costs time.
    """

    name = "numbers"
    custom_settings: ClassVar[dict[str, Any]] = {
        "ADDONS": {"scrapy_batching.Addon": 500},
        "TELNETCONSOLE_ENABLED": False,
        "REMOTE_CONTROL_ENABLED": False,
        "LOG_LEVEL": "INFO",
        "EXTENSIONS": {
            "scrapy.extensions.corestats.CoreStats": None,
            "scrapy.extensions.logstats.LogStats": None,
            "scrapy.extensions.logcount.LogCount": None,
        },
    }

    def __init__(self, witness: str, crawl: str, items: str, start: str = "items", **more: Any) -> None:
        super().__init__(**more)
        self._seen = Witness(Path(witness)).bytes
        self._crawl = crawl
        self._items = int(items)
        self._starts_with_items = start == "items"

    @classmethod
    def from_crawler(cls, crawler: Crawler, *words: Any, **named: Any) -> Self:
        spider = super().from_crawler(crawler, *words, **named)
        # sent after every pipeline's process_item has returned
        crawler.signals.connect(spider.taken, signals.item_scraped)
        explain_on_signal(crawler)
        return spider

    async def start(self) -> AsyncIterator[Any]:
        for page, first in enumerate(range(0, self._items, _PAGE)):
            if page % 2 or not self._starts_with_items:
                yield scrapy.Request(f"data:,{first}", callback=self.page, cb_kwargs={"first": first}, dont_filter=True)
            else:
                for one in self._page(first):
                    yield one

    def page(self, _: Response, first: int) -> Iterator[Plain | Keyed]:
        yield from self._page(first)

    def taken(self, item: Plain | Keyed) -> None:
        self._seen[index_of(item.n, item.rev)] = TAKEN

    def _page(self, first: int) -> Iterator[Plain | Keyed]:
        for index in range(first, min(first + _PAGE, self._items)):
            self._seen[index] = YIELDED
            yield item(self._crawl, index)
