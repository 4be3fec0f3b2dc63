"""BATCHING_ITEM_FILTER at work: who passes by is neither taken nor counted as taken, and nobody is lost for a filter's bug."""

import json

from scrapy.extensions.feedexport import ItemFilter

from scrapy_batching.items.choosing import Choosing
from tests.scrapy_batching.crawls import balanced, crawled
from tests.scrapy_batching.make import telemetry
from tests.scrapy_batching.settings.shop import Book, OnlyDicts

SECRET = "s3cret of the page"

ODD = """
from scrapy.extensions.feedexport import ItemFilter

class Odd(ItemFilter):
    def accepts(self, item):
        return super().accepts(item) and item["n"] % 2

class Nobody(ItemFilter):
    def accepts(self, item):
        return False

class Numbers(scrapy.Spider):
    name = "numbers"
    async def start(self):
        for n in range(7):
            yield {"n": n}

SPIDERS = [Numbers]
"""


def test_any_truth_counts_as_feeds_have_it():
    facts, stats = telemetry()
    is_wanted = Choosing(OnlyDicts({}), facts)
    assert [is_wanted({}), is_wanted(Book())] == [True, False]
    facts.publish()
    assert stats["items/filtered"] == 1

    class Odd(ItemFilter):
        def accepts(self, item):
            return item % 2

    assert [Choosing(Odd({}), facts)(n) for n in (1, 2)] == [True, False]


def test_an_item_that_the_filter_raises_on_is_taken_and_its_class_told_once(caplog):
    class Broken(ItemFilter):
        def accepts(self, item):
            raise KeyError(item["title"])

    facts, stats = telemetry()
    is_wanted = Choosing(Broken({}), facts)
    items = [{"title": SECRET}, {"title": SECRET}, Book(), Book()]
    assert all(map(is_wanted, items))
    assert len(caplog.records) == 2
    assert "raised KeyError in accepts, test_filter.py line" in caplog.text
    assert "on an item of class dict, which is taken" in caplog.text
    assert "on an item of class Book, which is taken" in caplog.text
    assert SECRET not in caplog.text
    facts.publish()
    assert stats["items/filtered"] == 0


async def test_filtered_items_pass_by_untouched(server, tmp_path):
    feed = tmp_path / "feed.jsonl"
    crawl = await crawled(
        tmp_path,
        ODD,
        BATCHING_URL=server.url,
        BATCHING_ITEM_FILTER="__main__.Odd",
        FEEDS={str(feed): {"format": "jsonlines", "item_filter": "__main__.Odd"}, "all.jsonl": {"format": "jsonlines"}},
    )
    assert sorted(item["n"] for item in server.items) == [1, 3, 5]
    stats = crawl.batching()
    assert (stats["items/enqueued"], stats["items/filtered"], stats["items/delivered"]) == (3, 4, 3)
    assert balanced(stats)
    assert crawl.stats[0]["item_scraped_count"] == 7
    assert [json.loads(line)["n"] for line in feed.read_text().splitlines()] == [1, 3, 5], "one class for both"
    assert len((tmp_path / "all.jsonl").read_text().splitlines()) == 7


async def test_a_crawl_whose_items_all_pass_by_never_begins(server, tmp_path):
    crawl = await crawled(tmp_path, ODD, BATCHING_URL=server.url, BATCHING_ITEM_FILTER="__main__.Nobody")
    assert server.sent == server.closes == []
    assert not (tmp_path / "spool").exists()
    stats = crawl.batching()
    assert (stats["items/enqueued"], stats["items/filtered"]) == (0, 7)
    assert "the crawl's id is" not in crawl.log
