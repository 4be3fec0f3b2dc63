"""Traps around one item: who changes it, who drops it, who fails at it, before us and after us."""

import pytest

from tests.scrapy_batching.crawls import balanced, crawled

NEIGHBOURS = """
import dataclasses, os
import attrs
import pydantic
from scrapy.exceptions import DropItem

class Book(scrapy.Item):
    n = scrapy.Field()
    tags = scrapy.Field()

@dataclasses.dataclass
class Disc:
    n: int
    tags: list

@attrs.define
class Film:
    n: int
    tags: list

class Game(pydantic.BaseModel):
    n: int
    tags: list

KINDS = [dict, Book, Disc, Film, Game]

from itemadapter import ItemAdapter

class Before:
    def process_item(self, item):
        ItemAdapter(item)["tags"].append("before")
        if ItemAdapter(item)["n"] == 90:
            raise DropItem("before")
        if ItemAdapter(item)["n"] == 91:
            raise ValueError("before")
        return item

class After:
    async def process_item(self, item):
        ItemAdapter(item)["tags"].append("after")
        ItemAdapter(item)["n"] += 1_000
        if ItemAdapter(item)["n"] == 1_092:
            raise DropItem("after")
        if ItemAdapter(item)["n"] == 1_093:
            raise ValueError("after")
        return item

class Numbers(scrapy.Spider):
    name = "numbers"
    custom_settings = {"ITEM_PIPELINES": {Before: 100, After: 950}}

    async def start(self):
        for n, kind in enumerate(KINDS):
            yield kind(n=n, tags=["spider"])
        for n in range(90, 94):
            yield {"n": n, "tags": ["spider"]}

SPIDERS = [Numbers]
"""


async def test_an_item_is_taken_as_those_before_us_left_it_and_not_as_those_after_us_make_it(server, tmp_path):
    """The add-on's place is 900; who drops or changes items behind it acts on items that are stored already."""
    crawl = await crawled(tmp_path, NEIGHBOURS, BATCHING_URL=server.url)
    assert all(item["tags"] == ["spider", "before"] for item in server.items)
    # 90 and 91 ended before us; 92 and 93 behind us.
    assert sorted(item["n"] for item in server.items) == [0, 1, 2, 3, 4, 92, 93]
    assert {batch.table for batch in server.batches.values()} == {"numbers", "book", "disc", "film", "game"}
    stats = crawl.stats[0]
    assert (stats["item_scraped_count"], stats["item_dropped_count"]) == (5, 2)
    assert crawl.batching()["items/enqueued"] == 7
    assert balanced(crawl.batching())


async def test_a_place_of_its_own_makes_ours_the_last(server, tmp_path):
    """A project that wants only what every pipeline let through places ours behind them."""
    spider = NEIGHBOURS.replace(
        "{Before: 100, After: 950}", '{Before: 100, After: 950, "scrapy_batching.BatchingPipeline": 1_000}'
    )
    crawl = await crawled(tmp_path, spider, BATCHING_URL=server.url)
    assert sorted(item["n"] for item in server.items) == [1_000, 1_001, 1_002, 1_003, 1_004]
    assert all(item["tags"] == ["spider", "before", "after"] for item in server.items)
    assert crawl.stats[0]["item_scraped_count"] == crawl.batching()["items/enqueued"] == 5


LARGE = """
class Numbers(scrapy.Spider):
    name = "numbers"
    async def start(self):
        yield scrapy.Request("data:,x")

    def parse(self, response):
        yield {"n": 0, "text": "ä\\0\\ud800", "big": "x" * 3_000_000, "deep": [[[[{"a": {1: None}}]]]]}
        for n in range(1, 4):
            yield {"n": n}

SPIDERS = [Numbers]
"""


async def test_a_large_item_with_a_nul_and_a_lone_surrogate_harms_nobody(server, tmp_path):
    """What other exporters choke on: scrapinghub/python-hubstorage#23, scrapy-plugins/scrapy-pagestorage#3."""
    crawl = await crawled(tmp_path, LARGE, BATCHING_URL=server.url, LOG_LEVEL="INFO")
    there = {item["n"]: item for item in server.items}
    assert there.keys() >= {1, 2, 3}
    stats = crawl.batching()
    assert stats["items/enqueued"] == 4
    assert balanced(stats)
    # Taken or rejected, never lost without a word.
    assert (0 in there) != (stats["items/rejected"] == 1)


KEPT_OPEN = """
from scrapy.exceptions import DontCloseSpider

class Numbers(scrapy.Spider):
    name = "numbers"
    rounds = 0

    @classmethod
    def from_crawler(cls, crawler, *args, **kwargs):
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.idle, scrapy.signals.spider_idle)
        return spider

    async def start(self):
        yield scrapy.Request("data:,x", dont_filter=True)

    def parse(self, response):
        yield {"n": self.rounds}

    def idle(self):
        self.rounds += 1
        if self.rounds < 4:
            self.crawler.engine.crawl(scrapy.Request("data:,x", dont_filter=True))
            raise DontCloseSpider

SPIDERS = [Numbers]
"""


@pytest.mark.parametrize("age", [0.05, 1_000])
async def test_a_spider_that_is_kept_open_by_its_idle_handler_has_its_items_delivered(server, tmp_path, age):
    """DontCloseSpider, or requests from spider_idle: each idle moment sends what is there, and ends nothing."""
    crawl = await crawled(tmp_path, KEPT_OPEN, BATCHING_URL=server.url, BATCHING_BATCH_AGE=age)
    assert sorted(item["n"] for item in server.items) == [0, 1, 2, 3]
    assert crawl.batching()["flush/idle"] == 4
    assert [one["items"] for one in server.closes] == [4]


PAUSED = """
from scrapy_batching.water import Water

class Numbers(scrapy.Spider):
    name = "numbers"
    async def start(self):
        for n in range(3):
            yield {"n": n}
        self.crawler.engine.pause()
        while Water.of(self.crawler).items:
            await asyncio.sleep(0)
        self.crawler.engine.unpause()

SPIDERS = [Numbers]
"""


async def test_a_paused_engine_does_not_keep_the_last_items(server, tmp_path):
    """Telnet's pause, or another extension's: spider_idle is not sent then, and only the age can send what is there."""
    crawl = await crawled(tmp_path, PAUSED, BATCHING_URL=server.url, BATCHING_BATCH_AGE=0.1)
    assert crawl.batching()["flush/age"] == 1
    assert sorted(item["n"] for item in server.items) == [0, 1, 2]
    assert [one["reason"] for one in server.closes] == ["finished"]
