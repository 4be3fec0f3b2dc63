"""Feeds and other pipelines do not notice us: the same crawl with the add-on and without, byte for byte and count for count."""

import asyncio
import json

import pytest

from tests.scrapy_batching.crawls import balanced, crawled, those

SHELF = """
import dataclasses, datetime, decimal, enum, uuid
import attrs
import pydantic
from itemadapter import ItemAdapter
from scrapy.exceptions import DropItem

WHEN = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc)

@attrs.define
class Author:
    name: str
    born: datetime.date

@attrs.define
class Film:
    n: int
    author: Author
    at: datetime.datetime

@dataclasses.dataclass
class Price:
    amount: decimal.Decimal

@dataclasses.dataclass
class Disc:
    n: int
    price: Price
    tags: list = dataclasses.field(default_factory=lambda: ["a", "ä"])

class Game(pydantic.BaseModel):
    n: int
    name: str = "pydantic"

class Book(scrapy.Item):
    n = scrapy.Field()
    at = scrapy.Field(serializer=str)
    film = scrapy.Field()

def shelf():
    yield {"n": 0, "text": "ÄÖ 漢字 \\u2028", "at": WHEN, "price": decimal.Decimal("1.50"), "none": None, "tags": ["a", {"b": 1}]}
    yield Book(n=1, at=WHEN, film=Film(1, Author("A", WHEN.date()), WHEN))
    yield Disc(2, Price(decimal.Decimal("2.5")))
    yield Film(3, Author("B", WHEN.date()), WHEN)
    yield Game(n=4)
    yield {"n": 5, "nan": float("nan"), "big": 2**70, "request": scrapy.Request("data:,x")}
    yield {"n": 6, "nested": {"deep": [Disc(7, Price(decimal.Decimal(1)))]}}
    for n in range(90, 94):
        yield {"n": n}

class Witness:
    # Which objects pass here; told as their position in what the spider yielded, or as what it is not.
    def __init__(self, crawler):
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler):
        return cls(crawler)

    def process_item(self, item):
        given = self.crawler.spider.given
        self.crawler.stats.inc_value("same" if any(one is item for one in given) else "another")
        self.crawler.stats.set_value(f"seen/{ItemAdapter(item)['n']}", repr(item))
        return item

class Refuses(Witness):
    def __init__(self, crawler):
        super().__init__(crawler)

    def process_item(self, item):
        n = ItemAdapter(item)["n"]
        if n == self.first:
            raise DropItem("not wanted")
        if n == self.first + 1:
            raise ValueError("a pipeline's own trouble")
        return item

class RefusesBefore(Refuses):
    first = 90

class RefusesAfter(Refuses):
    first = 92

class Shelf(scrapy.Spider):
    name = "shelf"
    custom_settings = {"ITEM_PIPELINES": {RefusesBefore: 100, RefusesAfter: 950, Witness: 960}}
    given = ()

    @classmethod
    def from_crawler(cls, crawler, *args, **kwargs):
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.kinds = []
        crawler.signals.connect(spider.scraped, scrapy.signals.item_scraped)
        return spider

    def scraped(self, item):
        self.kinds.append(type(item).__name__)
        self.crawler.stats.set_value("scraped", " ".join(self.kinds))

    async def start(self):
        yield scrapy.Request("data:,x")

    def parse(self, response):
        self.given = list(shelf())
        yield from self.given

SPIDERS = [Shelf]
"""
FORMATS = ("jsonlines", "json", "csv", "xml", "pickle")
OTHERS = ("item_scraped_count", "item_dropped_count", "scraped", "same", "another", "finish_reason")


async def shelved(directory, **settings):
    """The crawl, and each feed as it lies on the disk."""
    directory.mkdir()
    feeds = {str(directory / f"items.{name}"): {"format": name} for name in FORMATS}
    # Two numbers a batch, so that a flush happens in between; one item after the other, so that the order is fixed.
    more = {"FEEDS": feeds, "CONCURRENT_ITEMS": 1, "BATCHING_BATCH_ITEMS": 2}
    crawl = await crawled(directory, SHELF, **more, **settings)
    return crawl, {name: (directory / f"items.{name}").read_bytes() for name in FORMATS}


async def test_feeds_are_the_same_bytes_with_us_and_without_for_every_kind_of_item(server, tmp_path):
    (ours, feeds), (theirs, alone) = await asyncio.gather(
        shelved(tmp_path / "with", BATCHING_URL=server.url), shelved(tmp_path / "without", ADDONS={})
    )
    for name in FORMATS:
        assert feeds[name] == alone[name], name
        assert feeds[name], name
    lines = [json.loads(line) for line in feeds["jsonlines"].splitlines()]
    assert [line["n"] for line in lines] == [0, 1, 2, 3, 4, 5, 6]
    # And ours did what it is there for: everything that came as far as us.
    taken = ours.batching()
    assert taken["items/enqueued"] == 9
    assert balanced(taken)
    assert theirs.batching() == {}


async def test_other_pipelines_see_the_same_objects_and_the_same_ends_with_us_and_without(server, tmp_path):
    """DropItem and errors of the others count, log and reach item_dropped and item_error as they do without us."""
    (ours, _), (theirs, _) = await asyncio.gather(
        shelved(tmp_path / "with", BATCHING_URL=server.url), shelved(tmp_path / "without", ADDONS={})
    )
    mine, yours = ours.stats[0], theirs.stats[0]
    for name in OTHERS:
        assert mine.get(name) == yours.get(name), name
    assert (mine["same"], mine.get("another")) == (7, None), "the very objects that the spider yielded"
    seen = {name: value for name, value in mine.items() if name.startswith("seen/")}
    assert seen == {name: value for name, value in yours.items() if name.startswith("seen/")}
    for part in ("a pipeline's own trouble", "Dropped: not wanted", "Error processing"):
        assert ours.log.count(part) == theirs.log.count(part) > 0, part
    dropped = {name: n for name, n in mine.items() if name.startswith(("item_dropped", "item_error", "feedexport"))}
    assert dropped == {name: n for name, n in yours.items() if name in dropped}


FAILING_STORAGE = """
class NoStorage:
    def __init__(self, uri, *, feed_options=None):
        pass

    def open(self, spider):
        import tempfile
        return tempfile.TemporaryFile()

    def store(self, file):
        raise RuntimeError("the upload failed")

SETTINGS["FEED_STORAGES"] = {"broken": NoStorage}
"""


@pytest.mark.parametrize("mode", those("AsyncCrawlerProcess", "reactorless"))
async def test_a_feed_whose_upload_fails_is_lost_and_ours_is_not(server, tmp_path, mode):
    """Scrapy keeps no copy: scrapy/extensions/feedexport.py, scrapy#3190, scrapy#960."""
    feeds = {"broken://nowhere/items.json": {"format": "json"}}
    spider = SHELF + FAILING_STORAGE
    crawl = await crawled(tmp_path, spider, mode=mode, BATCHING_URL=server.url, FEEDS=feeds)
    assert "the upload failed" in crawl.log
    stats = crawl.batching()
    assert stats["items/enqueued"] == 9
    assert balanced(stats)
    assert stats["items/spooled"] == 0
    assert len(server.closes) == 1
