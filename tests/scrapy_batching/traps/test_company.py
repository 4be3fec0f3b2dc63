"""Other components' choices that ours has to live with: collectors, loggers, item processors, signals, warnings."""

import pytest

from tests.scrapy_batching.crawls import MODES, NUMBERS, balanced, crawled, those
from tests.scrapy_batching.fake_server import says

COLLECTS = """
import gc

class Collects:
    # Whatever is held weakly by nobody else is gone after the first item.
    def __init__(self, crawler):
        self.crawler = crawler
        for signal in (scrapy.signals.item_scraped, scrapy.signals.spider_idle, scrapy.signals.engine_stopped):
            crawler.signals.connect(self.collect, signal)

    @classmethod
    def from_crawler(cls, crawler):
        return cls(crawler)

    def collect(self):
        gc.collect()

class Raising:
    def close_spider(self):
        raise RuntimeError("a sibling's own trouble")

class Numbers(Numbers):
    custom_settings = {"EXTENSIONS": {Collects: 1}, "ITEM_PIPELINES": {Raising: 100}}

SPIDERS = [Numbers]
"""


@pytest.mark.parametrize("mode", those("AsyncCrawlerProcess", "reactorless"))
async def test_our_signal_handlers_live_as_long_as_the_crawl(server, tmp_path, mode):
    """Scrapy holds them weakly: one of an object that nobody keeps is never called, without a word."""
    crawl = await crawled(tmp_path, NUMBERS + COLLECTS, mode=mode, BATCHING_URL=server.url)
    stats = crawl.batching()
    # One handler each: idle; and what delivers and says farewell when close_spider was cut off.
    assert (stats["flush/idle"], stats["items/delivered"]) == (1, 7)
    assert [one["reason"] for one in server.closes] == ["finished"]


@pytest.mark.parametrize("collector", ["DummyStatsCollector", "MemoryStatsCollector"])
async def test_a_collector_that_answers_nothing_takes_no_count_from_us(server, tmp_path, collector):
    """DummyStatsCollector gives nothing back; ours are our own, told to the server and in the summary."""
    server.tricks.append(says(422, "never"))
    settings = {"STATS_CLASS": f"scrapy.statscollectors.{collector}", "BATCHING_BATCH_ITEMS": 2}
    crawl = await crawled(tmp_path, BATCHING_URL=server.url, **settings)
    assert "7 items taken · 5 delivered · 2 rejected · 0 spooled · 0 dropped" in crawl.log
    (said,) = server.closes
    assert (said["items"], said["rejected"], said["spooled"]) == (7, 2, 0)
    assert len(server.items) == 5


async def test_the_summary_needs_no_dump_of_the_stats(server, tmp_path):
    crawl = await crawled(tmp_path, BATCHING_URL=server.url, STATS_DUMP=False)
    assert "Dumping Scrapy stats" not in crawl.log
    assert crawl.log.count("7 items taken · 7 delivered") == 1


async def test_a_crawl_that_logs_nothing_delivers_all(server, tmp_path):
    """And what could not be delivered is on disk, though nobody was told."""
    crawl = await crawled(tmp_path, BATCHING_URL=server.url, LOG_ENABLED=False)
    assert crawl.log == ""
    assert crawl.batching()["items/delivered"] == 7
    assert balanced(crawl.batching())


OWN_PROCESSOR = """
from scrapy.pipelines import ItemPipelineManager

class Twice(ItemPipelineManager):
    # The protocol of Scrapy 2.18: another plugin owns the processor, ours is one of its pipelines.
    async def process_item_async(self, item):
        self.seen = getattr(self, "seen", 0) + 1
        return await super().process_item_async(item)

    async def close_spider_async(self):
        print("SEEN", self.seen)
        await super().close_spider_async()

class Numbers(Numbers):
    custom_settings = {"ITEM_PROCESSOR": Twice}

SPIDERS = [Numbers]
"""


async def test_a_custom_item_processor_stays_and_ours_works_in_it(server, tmp_path):
    """Two plugins cannot both own ITEM_PROCESSOR, so ours leaves it alone."""
    crawl = await crawled(tmp_path, NUMBERS + OWN_PROCESSOR, BATCHING_URL=server.url)
    assert "SEEN 7" in crawl.log
    assert crawl.batching()["items/delivered"] == 7


STRICT = """
import warnings
warnings.simplefilter("error")
"""


@pytest.mark.parametrize("mode", list(MODES))
async def test_with_warnings_as_errors_nothing_of_ours_warns(server, tmp_path, mode):
    """No required `spider` argument, no Deferred, no task that nobody awaits, nothing left open."""
    spider = STRICT + NUMBERS
    crawl = await crawled(tmp_path, spider, mode=mode, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=3)
    assert crawl.batching()["items/delivered"] == 7
    assert "Warning" not in crawl.log, crawl.log
    assert "Traceback" not in crawl.log
    assert "never retrieved" not in crawl.log


JOB = """
from scrapy.exceptions import CloseSpider

class Job(scrapy.Spider):
    name = "job"
    async def start(self):
        yield scrapy.Request("data:,0")

    def parse(self, response):
        page = int(response.text)
        for n in range(10):
            yield {"n": 10 * page + n}
        if page < 9:
            yield scrapy.Request(f"data:,{page + 1}")
        if page == 3 and not Path("stopped").exists():
            Path("stopped").touch()
            raise CloseSpider("enough for today")

SPIDERS = [Job]
"""


async def test_a_job_that_is_resumed_ends_with_every_item_once(server, tmp_path):
    """What the first run left waits in the JOBDIR and is sent by the second, under the first one's id and names."""
    server.always = says(503, "full")
    settings = {
        "JOBDIR": str(tmp_path / "job"),
        "BATCHING_SPOOL_DIR": "",
        "BATCHING_URL": server.url,
        "BATCHING_BATCH_ITEMS": 10,
        "BATCHING_CLOSE_TIMEOUT": 0.1,
        "BATCHING_COMPRESSION": "off",
    }
    first = await crawled(tmp_path, JOB, **settings)
    taken = first.batching()["items/enqueued"]
    assert 0 < first.batching()["items/spooled"] == taken < 100
    assert server.items == []
    server.always = None
    names = set(server.sent)
    second = await crawled(tmp_path, JOB, **{**settings, "BATCHING_CLOSE_TIMEOUT": 60})
    assert sorted(item["n"] for item in server.items) == list(range(100))
    assert names <= server.batches.keys()
    assert second.batching(1)["items/enqueued"] == 100 - taken
    assert len({batch.crawl for batch in server.batches.values()}) == 2
    said = {one["crawl"]: one["items"] for one in server.closes}
    assert sum(said.values()) == 100


CONNECTIONS = 2 + 1


async def test_a_crawl_keeps_to_a_few_connections(server, tmp_path):
    """A client for each flush, or a pool for each spider, is how others bring a server down: scrapy#491, #415."""
    seen: set[int] = set()

    async def remember(_server, request, _body):
        seen.add(request.transport.get_extra_info("peername")[1])

    server.always = remember
    settings = {"HOW_MANY": 400, "BATCHING_BATCH_ITEMS": 5, "BATCHING_CONCURRENCY": 2, "LOG_LEVEL": "INFO"}
    await crawled(tmp_path, BATCHING_URL=server.url, **settings)
    assert len(server.batches) == 80
    assert len(seen) <= CONNECTIONS
