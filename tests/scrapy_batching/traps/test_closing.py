"""Traps in how a crawl closes, beside those of ../test_shutdown.py: who else may interrupt it, and who may fail in it."""

import asyncio
import signal

import pytest

from tests.scrapy_batching.crawls import MODES, NEVER_DONE, NUMBERS, balanced, crawled, crawling, those
from tests.scrapy_batching.fake_server import Holding


async def stored(server, items):
    """Returns when so many items have arrived."""
    while len(server.items) < items:
        server.arrived.clear()
        await server.arrived.wait()


PROCESSES = those("AsyncCrawlerProcess", "CrawlerProcess", "reactorless")

RAISING_SIBLING = (
    NUMBERS
    + """
class Raising:
    async def close_spider(self):
        raise RuntimeError("a sibling's own trouble")

class Numbers(Numbers):
    custom_settings = {"ITEM_PIPELINES": {Raising: 100}}

SPIDERS = [Numbers]
"""
)


@pytest.mark.parametrize("mode", PROCESSES)
async def test_a_sigterm_after_a_sibling_has_cut_our_close_off_loses_nothing(server, tmp_path, mode):
    """Both traps at once: close_spider is abandoned, and the spider_closed handler is what the signal cuts off."""
    holding = Holding()
    server.tricks.append(holding)
    async with crawling(tmp_path, RAISING_SIBLING, mode=mode, BATCHING_URL=server.url) as crawl:
        await holding.reached.wait()
        await crawl.line("a sibling's own trouble")
        crawl.signal()
        await crawl.line("shutting down gracefully")
        holding.go.set()
        await crawl.end()
    assert sorted(item["n"] for item in server.items) == list(range(7))
    assert len(server.closes) == 1
    assert crawl.runs == []


@pytest.mark.parametrize("mode", PROCESSES)
async def test_two_sigterms_in_the_last_flush_leave_it_in_the_spool(server, tmp_path, mode):
    """A container that is stopped twice, or scrapyd's cancel asked for twice: scrapy/scrapyd#356."""
    holding = Holding()
    server.always = holding
    async with crawling(tmp_path, mode=mode, BATCHING_URL=server.url) as crawl:
        await holding.reached.wait()
        await crawl.line("Closing spider")
        crawl.signal()
        await crawl.line("shutting down gracefully")
        crawl.signal()
        await crawl.end()
    assert sorted(item["n"] for item in crawl.waiting()) == list(range(7))
    assert crawl.log.count("7 items taken · 0 delivered · 0 rejected · 7 spooled") == 1
    holding.go.set()


WITHOUT_HANDLERS = (
    NEVER_DONE
    + """
from scrapy.crawler import AsyncCrawlerProcess
start = AsyncCrawlerProcess.start
AsyncCrawlerProcess.start = lambda self: start(self, install_signal_handlers=False)
"""
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
async def test_a_signal_that_nobody_hears_ends_the_process_and_loses_nothing(server, tmp_path, number):
    """SIGHUP always, and every signal with install_signal_handlers=False: not even what is registered at exit runs."""
    holding = Holding()
    server.always = holding
    async with crawling(tmp_path, WITHOUT_HANDLERS, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=4) as crawl:
        await holding.reached.wait()
        await crawl.line("ALL GIVEN")
        crawl.signal(number)
        assert await crawl.end() == -number
    holding.go.set()
    assert sorted(item["n"] for item in crawl.waiting()) == list(range(7))


CLOSES_ITSELF = """
from scrapy.exceptions import CloseSpider

class Numbers(scrapy.Spider):
    name = "numbers"
    async def start(self):
        yield scrapy.Request("data:,x")

    def parse(self, response):
        for n in range(7):
            yield {"n": n}
        raise CloseSpider("enough")

SPIDERS = [Numbers]
"""


async def test_a_close_spider_is_told_to_the_server_with_its_own_reason(server, tmp_path):
    crawl = await crawled(tmp_path, CLOSES_ITSELF, BATCHING_URL=server.url)
    assert sorted(item["n"] for item in server.items) == list(range(7))
    assert [one["reason"] for one in server.closes] == ["enough"]
    assert crawl.stats[0]["finish_reason"] == "enough"


FLOOD = """
class Numbers(scrapy.Spider):
    name = "numbers"
    async def start(self):
        for page in range(20):
            yield scrapy.Request(f"data:,{page}")

    def parse(self, response):
        for n in range(50):
            yield {"n": 50 * int(response.text) + n}

SPIDERS = [Numbers]
"""


async def test_closespider_itemcount_loses_no_item_that_was_scraped(server, tmp_path):
    """It closes in the middle of a flood of items; those on their way are taken too, and counted alike."""
    settings = {"CLOSESPIDER_ITEMCOUNT": 50, "BATCHING_BATCH_ITEMS": 20, "LOG_LEVEL": "INFO"}
    crawl = await crawled(tmp_path, FLOOD, BATCHING_URL=server.url, **settings)
    scraped = crawl.stats[0]["item_scraped_count"]
    assert scraped >= 50
    assert len({item["n"] for item in server.items}) == len(server.items) == scraped
    assert balanced(crawl.batching())
    assert [one["items"] for one in server.closes] == [scraped]


OWN_DEFECT = (
    NUMBERS
    + """
from scrapy_batching.assembly import Delivery

async def finish(self, within):
    raise ZeroDivisionError("a defect of ours")

Delivery.finish = finish
"""
)


@pytest.mark.parametrize("mode", PROCESSES)
async def test_a_defect_in_our_own_closing_is_loud_and_leaves_the_items_on_disk(server, tmp_path, mode):
    """Scrapy logs it, calls the crawl finished and exits with 0: scrapy/core/engine.py, "Scraper close failure"."""
    holding = Holding()
    server.always = holding
    crawl = await crawled(tmp_path, OWN_DEFECT, mode=mode, BATCHING_URL=server.url)
    holding.go.set()
    assert "a defect of ours" in crawl.log
    assert sorted(item["n"] for item in crawl.waiting()) == list(range(7))
    assert "7 items taken · 0 delivered · 0 rejected · 7 spooled" in crawl.log


LATE_ITEMS = """
class Late:
    # A sibling whose closing takes turns: meanwhile an async start() may still yield, and an item be on its way.
    def __init__(self, crawler):
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler):
        return cls(crawler)

    async def close_spider(self):
        ours = self.crawler.get_item_pipeline(BatchingPipeline)
        for _ in range(50):
            await asyncio.sleep(0)
        ours.process_item({"n": 7})

from scrapy_batching import BatchingPipeline

class Numbers(Numbers):
    custom_settings = {"ITEM_PIPELINES": {Late: 100}}

SPIDERS = [Numbers]
"""


@pytest.mark.parametrize("mode", list(MODES))
async def test_an_item_that_comes_while_the_pipelines_close_is_delivered(server, tmp_path, mode):
    crawl = await crawled(tmp_path, NUMBERS + LATE_ITEMS, mode=mode, BATCHING_URL=server.url)
    assert sorted(item["n"] for item in server.items) == list(range(8))
    assert balanced(crawl.batching())
    assert [one["items"] for one in server.closes] == [8]


async def test_a_hanging_sibling_does_not_keep_our_items_from_the_server(server, tmp_path):
    """All close_spider run at once: ours does not stand behind one that never ends."""
    sibling = RAISING_SIBLING.replace('raise RuntimeError("a sibling\'s own trouble")', "await asyncio.Event().wait()")
    async with crawling(tmp_path, sibling, BATCHING_URL=server.url, BATCHING_BATCH_AGE=1_000) as crawl:
        await crawl.line("Closing spider")
        await stored(server, 7)
        crawl.signal()
        await crawl.end()
    assert len(server.closes) == 1
    assert crawl.runs == []


async def test_a_crawl_that_scrapy_does_not_end_delivers_what_it_took(server, tmp_path):
    """Scrapy 2.19 waits for ever where a crawl is closed while start() yields items: each batch goes by its age."""
    settings = {"HOW_MANY": 500, "CLOSESPIDER_ITEMCOUNT": 50, "BATCHING_BATCH_ITEMS": 1_000, "BATCHING_BATCH_AGE": 0.05}
    async with crawling(tmp_path, BATCHING_URL=server.url, LOG_LEVEL="INFO", **settings) as crawl:
        ended = asyncio.create_task(crawl.end())
        await asyncio.wait({ended, asyncio.create_task(stored(server, 500))}, return_when="FIRST_COMPLETED")
        if ended.done():  # a Scrapy without that fault
            assert len(server.items) == crawl.batching()["items/enqueued"]
        else:
            crawl.process.kill()
            await ended
