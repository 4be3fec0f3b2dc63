"""Traps at a crawl's start: who else fails there, and what of ours is there by then."""

import pytest

from tests.scrapy_batching.crawls import NUMBERS, crawling

FAILS = """
from scrapy.exceptions import CloseSpider

class Fails:
    {where}

class Numbers(Numbers):
    custom_settings = {{"{setting}": {{Fails: {order}}}}}

SPIDERS = [Numbers]
"""
PLACES = {
    "from_crawler": "@classmethod\n    def from_crawler(cls, crawler): raise RuntimeError('not today')",
    "open_spider": "def open_spider(self): raise RuntimeError('not today')",
    "async open_spider": "async def open_spider(self): raise RuntimeError('not today')",
}


@pytest.mark.parametrize("order", [100, 950], ids=["before ours", "after ours"])
@pytest.mark.parametrize("where", PLACES)
async def test_a_sibling_that_fails_at_the_start_leaves_nothing_of_ours(server, tmp_path, where, order):
    """spider_closed comes without spider_opened: our handler has nothing to deliver, and says so without a traceback."""
    spider = NUMBERS + FAILS.format(where=PLACES[where], order=order, setting="ITEM_PIPELINES")
    async with crawling(tmp_path, spider, BATCHING_URL=server.url) as crawl:
        await crawl.end()
    assert "not today" in crawl.log
    assert "scrapy_batching/" not in crawl.log, "no traceback of ours"
    assert server.sent == server.closes == server.asked == []
    assert not (tmp_path / "spool").exists()
    assert "Unclosed" not in crawl.log


async def test_close_spider_in_open_spider_is_a_crawl_without_items(server, tmp_path):
    """Scrapy 2.18 and newer: clean, exit code 0; older ones take it for an error. Ours has its zeros either way."""
    where = "def open_spider(self): raise CloseSpider('closed')"
    spider = NUMBERS + FAILS.format(where=where, order=100, setting="ITEM_PIPELINES")
    async with crawling(tmp_path, spider, BATCHING_URL=server.url) as crawl:
        await crawl.end()
    assert server.sent == server.closes == []
    assert "scrapy_batching/" not in crawl.log
    assert all(crawl.batching(index)["items/enqueued"] == 0 for index in range(len(crawl.stats)))
