"""Back-pressure: a server that takes nothing holds the spider, and never for ever."""

import asyncio

import pytest

from scrapy_batching import BatchingGate
from scrapy_batching.water import Water
from tests.scrapy_batching.crawls import balanced, crawled, crawling
from tests.scrapy_batching.fake_server import Holding

WATCHED = """
from scrapy_batching.water import Water

class Watched(scrapy.Spider):
    name = "watched"
    given = 0
    peak = 0

    async def watch(self):
        water = Water.of(self.crawler)
        # Until nothing moves any more: the gate holds, or there is nothing left to hold.
        still, last = 0, -1
        while still < 500:
            still, last = (still + 1 if self.given == last and self.given else 0), self.given
            self.peak = max(self.peak, water.items)
            await asyncio.sleep(0)
        self.logger.info("NOTHING MOVES: given %d, waiting %d", self.given, water.items)
        await self.then()

    async def then(self):
        pass

    def one(self):
        self.given += 1
        return {"n": self.given}
"""

FROM_START = (
    WATCHED
    + """
class FromStart(Watched):
    async def start(self):
        self.task = asyncio.create_task(self.watch())
        for _ in range(20_000):
            yield self.one()

SPIDERS = [FromStart]
"""
)

FROM_PAGES = (
    WATCHED
    + """
class FromPages(Watched):
    async def start(self):
        self.task = asyncio.create_task(self.watch())
        for n in range(20):
            yield scrapy.Request(f"data:,{n}")

    def parse(self, response):
        for _ in range(1_000):
            yield self.one()

SPIDERS = [FromPages]
"""
)

WATER = {"BATCHING_HIGH_WATER_ITEMS": 2_000, "BATCHING_BATCH_ITEMS": 500, "LOG_LEVEL": "INFO"}


async def test_start_items_wait_while_the_server_is_stuck(server, tmp_path):
    """Without the gate all 20,000 would stand in memory: Scrapy holds start items back by nothing."""
    await _holds(server, tmp_path, FROM_START, overshoot=50)


async def test_items_of_pages_wait_while_the_server_is_stuck(server, tmp_path):
    """Each of the (16) responses that are read at once may have CONCURRENT_ITEMS on the way when the water gets high.

    Scrapy 2.14 reads up to twice as many ahead.
    """
    await _holds(server, tmp_path, FROM_PAGES, overshoot=16 * 300)


async def _holds(server, tmp_path, spider, overshoot):
    holding = Holding()
    server.always = holding
    async with crawling(tmp_path, spider, BATCHING_URL=server.url, **WATER) as crawl:
        line = await crawl.line("NOTHING MOVES")
        waiting = int(line.rpartition(" ")[2])
        assert 2_000 <= waiting <= 2_000 + overshoot
        holding.go.set()
        assert await crawl.end() == 0
    assert sorted(item["n"] for item in server.items) == list(range(1, 20_001))
    assert crawl.batching()["backpressure_seconds"] > 0
    assert balanced(crawl.batching())


async def test_a_signal_opens_the_gate_of_a_crawl_that_is_held(server, tmp_path):
    holding = Holding()
    server.always = holding
    async with crawling(tmp_path, FROM_PAGES, BATCHING_URL=server.url, BATCHING_CLOSE_TIMEOUT=0.2, **WATER) as crawl:
        await crawl.line("NOTHING MOVES")
        crawl.signal()
        assert await crawl.end() == 0
    stats = crawl.batching()
    assert stats["items/spooled"] == stats["items/enqueued"] == len(crawl.waiting())
    holding.go.set()


async def test_closing_the_spider_opens_the_gate_of_a_crawl_that_is_held(server, tmp_path):
    """Closing waits for the callbacks, and those for the gate: it has to see that the engine is closing."""
    holding = Holding()
    server.always = holding
    spider = FROM_PAGES.replace(
        "class FromPages(Watched):",
        """class FromPages(Watched):
    async def then(self):
        await self.crawler.engine.close_spider_async(reason="enough")
""",
    )
    async with crawling(tmp_path, spider, BATCHING_URL=server.url, BATCHING_CLOSE_TIMEOUT=0.2, **WATER) as crawl:
        assert await crawl.end() == 0
    stats = crawl.batching()
    assert crawl.stats[0]["finish_reason"] == "enough"
    assert stats["items/spooled"] == stats["items/enqueued"] == len(crawl.waiting())
    holding.go.set()


TWO = """
class Held(scrapy.Spider):
    name = "held"
    async def start(self):
        for n in range(5_000):
            yield {"n": n}

class Free(scrapy.Spider):
    name = "free"
    async def start(self):
        for n in range(5_000):
            yield {"n": n}

SPIDERS = [Held, Free]
"""


async def test_two_crawls_in_one_process_do_not_disturb_each_other(server, tmp_path):
    """While one is held by its stuck table, the other one begins, ends and balances."""
    holding = Holding()

    async def only_held(fake, request, body):
        if request.match_info["table"] == "held":
            await holding(fake, request, body)

    server.always = only_held
    async with crawling(tmp_path, TWO, BATCHING_URL=server.url, **WATER) as crawl:
        line = await crawl.line("batching: crawl free-")
        assert "5000 delivered" in line
        assert not [batch for batch in server.batches.values() if batch.table == "held"]
        holding.go.set()
        assert await crawl.end() == 0
    assert len(server.items) == 10_000
    assert all(balanced(crawl.batching(index)) for index in (0, 1))
    assert len({close["crawl"] for close in server.closes}) == 2


async def test_a_crawl_that_is_not_held_reports_no_seconds(server, tmp_path):
    crawl = await crawled(tmp_path, BATCHING_URL=server.url)
    assert crawl.batching()["backpressure_seconds"] == 0


class Engine:
    """One of somebody else's making: it has no `_slot` that could be asked."""


class Crawler:
    def __init__(self):
        self.crawling = True
        self.engine = Engine()


async def given(*items):
    for one in items:
        yield one


@pytest.mark.parametrize("road", ["process_start", "process_spider_output"])
async def test_the_gate_holds_in_high_water_until_the_crawl_stops_whatever_the_engine(road):
    crawler = Crawler()
    gate = BatchingGate.from_crawler(crawler)
    water = Water.of(crawler)
    water.limit(1, 1)
    flow = gate.process_start(given(1, 2)) if road == "process_start" else gate.process_spider_output(None, given(1, 2))
    assert await anext(flow) == 1
    water.rise(1)
    second = asyncio.ensure_future(anext(flow))
    # It looks every quarter of a second, and goes on holding while the crawl goes on.
    seen, see = asyncio.Event(), gate._is_stopping

    def looked():
        seen.set()
        return see()

    gate._is_stopping = looked
    await seen.wait()
    seen.clear()
    await seen.wait()
    assert not second.done()
    crawler.crawling = False
    assert await second == 2


async def test_the_gate_is_open_without_a_pipeline():
    gate = BatchingGate.from_crawler(Crawler())
    assert [one async for one in gate.process_start(given(*range(1_000)))] == list(range(1_000))
