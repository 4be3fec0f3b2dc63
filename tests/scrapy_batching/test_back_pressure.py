"""The gate over the spool: it holds, it lets go, and it never keeps a crawl from going on or from ending."""

import json

import pytest

from tests.scrapy_batching.crawls import balanced, crawled, crawling
from tests.scrapy_batching.fake_server import Holding, says

PAGES = """
from scrapy_batching.water import Water

class Slow:
    async def process_item(self, item):
        for _ in range(20):  # as many turns of the loop as others get before this item is done
            await asyncio.sleep(0)
        return item

class Pauses:
    def __init__(self, crawler):
        self.crawler, self.count = crawler, 0
        crawler.signals.connect(self.scraped, scrapy.signals.item_scraped)

    @classmethod
    def from_crawler(cls, crawler):
        return cls(crawler)

    def scraped(self):
        self.count += 1
        if self.count in (200, 1_500):
            self.crawler.engine.pause()
            asyncio.get_running_loop().call_later(0.2, self.crawler.engine.unpause)

class Pages(scrapy.Spider):
    name = "pages"

    @classmethod
    def update_settings(cls, settings):
        super().update_settings(settings)
        if settings.getbool("SLOW"):
            settings.set("ITEM_PIPELINES", {Slow: 100}, "spider")
        if settings.getbool("PAUSES"):
            settings.set("EXTENSIONS", {Pauses: 1}, "spider")

    async def start(self):
        self.task = asyncio.create_task(self.watch())
        for page in range(30):
            yield scrapy.Request(f"data:,{page}")

    async def watch(self):
        while not Water.of(self.crawler).is_high:
            await asyncio.sleep(0)
        self.logger.info("THE GATE HOLDS")

    def parse(self, response):
        page = int(response.text)
        for n in range(100):
            yield {"n": 100 * page + n}

SPIDERS = [Pages]
"""
WATER = {"BATCHING_HIGH_WATER_ITEMS": 1_000, "BATCHING_BATCH_ITEMS": 100, "LOG_LEVEL": "INFO"}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"BATCHING_SPOOL": False},
        {"JOBDIR": "job", "BATCHING_SPOOL_DIR": ""},
        {"CONCURRENT_ITEMS": 1},
        {"CONCURRENT_REQUESTS": 1, "CONCURRENT_ITEMS": 1},
        {"SLOW": True},
        {"PAUSES": True},
        {"BATCHING_HIGH_WATER_BYTES": 200, "BATCHING_BATCH_BYTES": 100, "BATCHING_HIGH_WATER_ITEMS": 10**6},
        {"BATCHING_BATCH_ITEMS": 500, "BATCHING_BATCH_AGE": 0.2},
    ],
    ids=str,
)
async def test_a_crawl_that_is_held_goes_on_when_the_server_is_back(server, tmp_path, settings):
    holding = Holding()
    server.always = holding
    async with crawling(tmp_path, PAGES, **{"BATCHING_URL": server.url, **WATER, **settings}) as crawl:
        await crawl.line("THE GATE HOLDS")
        holding.go.set()
        assert await crawl.end() == 0
    assert sorted(item["n"] for item in server.items) == list(range(3_000))
    assert balanced(crawl.batching())
    assert crawl.runs == []


@pytest.mark.parametrize(
    "settings",
    [
        {"CLOSESPIDER_ITEMCOUNT": 400},
        {"CLOSESPIDER_ITEMCOUNT": 1_000, "JOBDIR": "job"},
        {"CLOSESPIDER_TIMEOUT_NO_ITEM": 1},
        {"CLOSESPIDER_TIMEOUT": 2, "PAUSES": True},
    ],
    ids=str,
)
async def test_a_crawl_that_is_held_can_be_closed(server, tmp_path, settings):
    holding = Holding()
    server.always = holding
    known = {"BATCHING_URL": server.url, "BATCHING_CLOSE_TIMEOUT": 0.2, **WATER}
    crawl = await crawled(tmp_path, PAGES, **{**known, **settings})
    holding.go.set()
    assert crawl.stats[0]["finish_reason"].startswith("closespider")
    stats = crawl.batching()
    assert stats["items/spooled"] == stats["items/enqueued"] == len(crawl.waiting())


async def test_a_sigterm_while_the_gate_holds_ends_the_crawl_with_everything_on_disk(server, tmp_path):
    holding = Holding()
    server.always = holding
    settings = {"BATCHING_URL": server.url, "BATCHING_CLOSE_TIMEOUT": 0.2, "JOBDIR": str(tmp_path / "job"), **WATER}
    async with crawling(tmp_path, PAGES, **settings) as crawl:
        await crawl.line("THE GATE HOLDS")
        crawl.signal()
        assert await crawl.end() == 0
    holding.go.set()
    assert len(crawl.waiting()) == crawl.batching()["items/enqueued"]


# Scrapy 2.14 has fetched some 200 pages by the time the first ones' items make the water high; those are still taken.
MORE_PAGES = PAGES.replace("range(30)", "range(1_000)")


async def test_stop_ends_the_crawl_with_its_own_reason(server, tmp_path):
    holding = Holding()
    server.always = holding
    settings = {"BATCHING_URL": server.url, "BATCHING_CLOSE_TIMEOUT": 0.2, "BATCHING_WHEN_FULL": "stop", **WATER}
    crawl = await crawled(tmp_path, MORE_PAGES, **settings)
    holding.go.set()
    assert crawl.stats[0]["finish_reason"] == "batching_spool_full"
    stats = crawl.batching()
    assert 1_000 <= stats["items/enqueued"] < 100_000
    assert stats["items/spooled"] == stats["items/enqueued"] == len(crawl.waiting())
    assert crawl.log.count("the crawl is stopped, as BATCHING_WHEN_FULL wants") == 1


async def test_drop_goes_on_and_counts_what_it_drops_loudly(server, tmp_path):
    holding = Holding()
    server.always = holding
    settings = {"BATCHING_URL": server.url, "BATCHING_CLOSE_TIMEOUT": 0.2, "BATCHING_WHEN_FULL": "drop", **WATER}
    crawl = await crawled(tmp_path, PAGES, **settings)
    holding.go.set()
    stats = crawl.batching()
    assert (stats["items/enqueued"], stats["items/dropped"], stats["items/spooled"]) == (3_000, 2_000, 1_000)
    assert stats["backpressure_seconds"] == 0
    told = [line for line in crawl.log.splitlines() if "batching DROPS items" in line]
    assert len(told) == 4, "the 1st, 10th, 100th and 1,000th"
    (run,) = crawl.runs
    tally = [json.loads(line) for line in (run / "tally.ndjson").read_text().splitlines()]
    assert sum(one.get("dropped", 0) for one in tally) == 2_000


async def test_what_waits_for_the_next_crawl_counts_and_a_crawl_without_a_token_is_stopped(server, tmp_path):
    """The gate would hold it for ever: nothing that is parked is tried again, and nothing else is left to wait for."""
    server.always = says(401, "no token")
    crawl = await crawled(tmp_path, MORE_PAGES, BATCHING_URL=server.url, **WATER)
    assert crawl.stats[0]["finish_reason"] == "batching_spool_full"
    stats = crawl.batching()
    assert 1_000 <= stats["items/enqueued"] < 100_000
    assert stats["items/spooled"] == stats["items/enqueued"] == len(crawl.waiting())
    assert crawl.log.count("the crawl is stopped (batching_spool_full)") == 1


async def test_one_table_that_is_not_there_does_not_stop_the_others_below_high_water(server, tmp_path):
    async def only_the_first(fake, request, body):
        return await says(404)(fake, request, body) if not fake.sent[5:] else None

    server.always = only_the_first
    crawl = await crawled(tmp_path, PAGES, BATCHING_URL=server.url, **WATER)
    assert crawl.stats[0]["finish_reason"] == "finished"
    assert balanced(crawl.batching())
    assert 0 < crawl.batching()["items/spooled"] <= 500


async def test_drop_with_a_spool_full_of_what_waits_for_the_next_crawl_drops_on(server, tmp_path):
    server.always = says(401)
    crawl = await crawled(tmp_path, PAGES, BATCHING_URL=server.url, BATCHING_WHEN_FULL="drop", **WATER)
    stats = crawl.batching()
    assert (crawl.stats[0]["finish_reason"], stats["items/spooled"]) == ("finished", 1_000)
    assert stats["items/dropped"] == 2_000


AWAY = """
import os
from scrapy_batching.pipeline import BatchingPipeline

class Away(scrapy.Spider):
    name = "away"

    async def start(self):
        for n in range(self.settings.getint("HOW_MANY")):
            if n % 10_000 == 9_999:
                with open("/proc/self/statm") as statm:
                    rss = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
                with open("rss", "a") as out:
                    out.write(f"{n + 1} {rss}\\n")
            yield {"n": n, "text": "x" * 1_000}

    @classmethod
    def from_crawler(cls, crawler, *args, **kwargs):
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.enough, scrapy.signals.spider_idle)
        return spider

    def enough(self):
        held = self.crawler.get_item_pipeline(BatchingPipeline)._life._delivery._held.values()
        self.logger.info("HELD IN MEMORY: %d of %d", sum(len(one.lines) for one in held), sum(map(len, held)))

SPIDERS = [Away]
"""


async def test_a_server_that_is_away_for_a_whole_crawl_costs_no_memory(tmp_path, unused_tcp_port):
    """Items of a kilobyte: in memory 40,000 of them would be 40 MB."""
    settings = {"HOW_MANY": 50_000, "BATCHING_CLOSE_TIMEOUT": 0.1, "LOG_LEVEL": "INFO"}
    crawl = await crawled(tmp_path, AWAY, BATCHING_URL=f"http://127.0.0.1:{unused_tcp_port}", **settings)
    assert crawl.batching()["items/spooled"] == 50_000
    held = next(line for line in crawl.log.splitlines() if "HELD IN MEMORY" in line)
    assert " 0 of " in held
    rss = [int(line.split()[1]) for line in (tmp_path / "rss").read_text().splitlines()]
    assert rss[-1] - rss[0] < 10_000_000
