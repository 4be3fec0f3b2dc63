"""Ways for a crawl to end, and that none of them loses an item."""

import asyncio
import json
import signal

import pytest

from tests.scrapy_batching.crawls import NEVER_DONE, NUMBERS, balanced, crawled, crawling, those
from tests.scrapy_batching.fake_server import Holding, problem

MODES = those("AsyncCrawlerProcess", "CrawlerProcess", "reactorless")

TELLS_OF_ITS_END = NUMBERS.replace(
    "async def start",
    """@classmethod
    def from_crawler(cls, crawler, *args, **kwargs):
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.told = spider.tell
        crawler.signals.connect(spider.told, scrapy.signals.engine_stopped)
        return spider
    def tell(self):
        self.logger.info("THE ENGINE STOPS")
    async def start""",
)


class HoldingThenAway(Holding):
    """Answers 503 once it may: whoever was cut off while waiting has not delivered."""

    async def __call__(self, *seen):
        await super().__call__(*seen)
        return problem(503, "full")


@pytest.mark.parametrize("mode", MODES)
async def test_one_sigterm_in_the_last_flush_loses_nothing(server, tmp_path, mode):
    """Scrapy skips the rest of a closing that a signal interrupts; the engine_stopped handler waits for it."""
    holding = HoldingThenAway()
    server.tricks.append(holding)
    async with crawling(tmp_path, TELLS_OF_ITS_END, mode=mode, BATCHING_URL=server.url) as crawl:
        await holding.reached.wait()
        await crawl.line("Closing spider")
        crawl.signal()
        await crawl.line("THE ENGINE STOPS")
        holding.go.set()
        await crawl.end()
    assert sorted(item["n"] for item in server.items) == list(range(7))
    assert len(server.closes) == 1
    assert crawl.waiting() == []


SIBLING = """
class Raising:
    def process_item(self, item):
        return item
    {how} close_spider(self):
        raise RuntimeError("a sibling's own trouble")

class Numbers(Numbers):
    custom_settings = {{"ITEM_PIPELINES": {{Raising: {order}}}}}

SPIDERS = [Numbers]
"""


@pytest.mark.parametrize("mode", those("AsyncCrawlerProcess", "reactorless"))
async def test_a_sibling_pipeline_that_raises_in_close_spider_loses_nothing(server, tmp_path, mode):
    """Sync or async, before or after ours: Scrapy abandons our close_spider, the spider_closed handler waits for it."""
    refused: set[str] = set()

    async def refuses_once(_server, request, _body):
        name = request.headers["Idempotency-Key"]
        if name in refused:
            return None
        refused.add(name)
        # Long enough for a crawl that does not wait to be gone.
        return problem(503, "full", Retry_After="1")

    server.always = refuses_once

    async def crawl_with(how, order):
        directory = tmp_path / f"{how.split()[0]}-{order}"
        directory.mkdir()
        spider = NUMBERS + SIBLING.format(how=how, order=order)
        crawl = await crawled(directory, spider, mode=mode, BATCHING_URL=server.url, BATCHING_CRAWL_ID=directory.name)
        assert "a sibling's own trouble" in crawl.log
        stats = crawl.batching()
        assert stats["items/delivered"] == 7
        assert balanced(stats)
        assert stats["server/missing"] == 0

    await asyncio.gather(*(crawl_with(how, order) for how in ("def", "async def") for order in (100, 950)))
    assert len(server.items) == 4 * 7


@pytest.mark.parametrize("mode", MODES)
async def test_a_second_signal_leaves_the_rest_in_the_spool(server, tmp_path, mode):
    """A forced stop cuts every await off; what is in memory is written at exit."""
    holding = Holding()
    server.always = holding
    async with crawling(tmp_path, mode=mode, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=5) as crawl:
        await holding.reached.wait()
        await crawl.line("{'n': 6}")
        crawl.signal(signal.SIGINT)
        await crawl.line("shutting down gracefully")
        crawl.signal(signal.SIGINT)
        await crawl.end()
    assert sorted(item["n"] for item in crawl.waiting()) == list(range(7))
    holding.go.set()


async def test_a_forced_end_writes_what_no_batch_was_closed_for(server, tmp_path):
    """The closing waits for a callback that never ends, so the last items are in a batch that nobody has closed."""
    holding = Holding()
    server.always = holding
    async with crawling(tmp_path, NEVER_DONE, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=4) as crawl:
        await crawl.line("ALL GIVEN")
        crawl.signal()
        await crawl.line("shutting down gracefully")
        crawl.signal()
        await crawl.end()
    assert sorted(item["n"] for item in crawl.waiting()) == list(range(7))
    holding.go.set()


async def test_a_server_that_is_away_at_the_close_leaves_items_in_the_spool(tmp_path, unused_tcp_port):
    crawl = await crawled(
        tmp_path,
        BATCHING_URL=f"http://127.0.0.1:{unused_tcp_port}",
        BATCHING_CLOSE_TIMEOUT=0.3,
        BATCHING_TOKEN="s3cret-token",
    )
    assert sorted(item["n"] for item in crawl.waiting()) == list(range(7))
    stats = crawl.batching()
    assert stats["items/spooled"] == 7
    assert balanced(stats)
    assert "the next crawl with this spool sends it, or: scrapy batches send" in crawl.log
    (run,) = crawl.runs
    said = json.loads((run / "close.json").read_text())
    assert said == {"items": 7, "rejected": 0, "dropped": 0, "spooled": 7, "reason": "finished"}
    assert "s3cret-token" not in crawl.log
    assert crawl.log.count("the server takes nothing") == 1
    assert f"the next crawl with the spool {tmp_path / 'spool'} sends what is in it" in crawl.log
    assert "server: did not say" in crawl.log


async def test_a_failing_crawl_close_does_not_fail_the_crawl(server, tmp_path):
    async def page(*_):
        return problem(404, "no such thing")

    server.on_close.append(page)
    crawl = await crawled(tmp_path, BATCHING_URL=server.url)
    assert crawl.batching()["items/delivered"] == 7
    assert "server: did not say" in crawl.log
