"""Several crawlers in one process: each has its own buffers, its own name on the server, its own stats."""

import pytest

from tests.scrapy_batching.crawls import HAS_REACTORLESS, MODES, balanced, crawled
from tests.scrapy_batching.fake_server import says

THREE = """
class Tens(scrapy.Spider):
    name = "tens"
    first, count = 10, 5
    async def start(self):
        for n in range(self.first, self.first + self.count):
            yield {"n": n}
            await asyncio.sleep(0)

class Twenties(Tens):
    name = "twenties"
    first, count = 20, 7

class Nobody(Tens):
    name = "nobody"
    count = 0

SPIDERS = [Tens, Twenties, Nobody]
"""
EXPECTED = {"tens": list(range(10, 15)), "twenties": list(range(20, 27))}


def arrived(server):
    """What came for each table; each table's batches are of one crawl, and no two have the same."""
    crawls = {batch.table: batch.crawl for batch in server.batches.values()}
    assert {(batch.table, batch.crawl) for batch in server.batches.values()} == set(crawls.items())
    assert len(set(crawls.values())) == len(crawls)
    return {
        table: sorted(item["n"] for batch in server.batches.values() if batch.table == table for item in batch.items)
        for table in crawls
    }


def kept_apart(crawl, *expected):
    stats = [crawl.batching(index) for index in range(len(crawl.stats))]
    assert sorted(one["items/enqueued"] for one in stats) == sorted(expected)
    assert all(one["items/delivered"] == one["items/enqueued"] and balanced(one) for one in stats)


@pytest.mark.parametrize("mode", MODES)
async def test_at_once(server, tmp_path, mode):
    crawl = await crawled(tmp_path, THREE, mode=mode, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=2)
    assert arrived(server) == EXPECTED
    kept_apart(crawl, 5, 7, 0)
    assert sorted(one["items"] for one in server.closes) == [5, 7], "a crawl without items is nobody's business"
    assert len({one["crawl"] for one in server.closes}) == 2
    assert crawl.runs == []


@pytest.mark.parametrize("mode", MODES)
async def test_one_that_cannot_deliver_does_not_touch_the_other(server, tmp_path, mode):
    """Two spools' worth of trouble in one process: the one's items are kept, the other's arrive."""

    async def only_the_tens(fake, request, body):
        return None if request.match_info["table"] == "tens" else await says(401)(fake, request, body)

    server.always = only_the_tens
    crawl = await crawled(tmp_path, THREE, mode=mode, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=2)
    assert arrived(server) == {"tens": EXPECTED["tens"]}
    assert sorted(item["n"] for item in crawl.waiting()) == EXPECTED["twenties"]
    found = sorted((one["items/delivered"], one["items/spooled"]) for one in map(crawl.batching, range(3)))
    assert found == [(0, 0), (0, 7), (5, 0)]


ONE_BY_ONE = {
    "AsyncCrawlerRunner": """
        from scrapy.crawler import AsyncCrawlerRunner
        from scrapy.utils.log import configure_logging
        from scrapy.utils.reactor import install_reactor
        install_reactor("twisted.internet.asyncioreactor.AsyncioSelectorReactor")
        configure_logging(SETTINGS)
        from twisted.internet.defer import Deferred
        from twisted.internet.task import react

        async def run():
            runner = AsyncCrawlerRunner(SETTINGS)
            for cls in SPIDERS:
                await runner.crawl(cls)

        react(lambda _: Deferred.fromFuture(asyncio.ensure_future(run())))
    """,
    "CrawlerRunner": """
        from scrapy.crawler import CrawlerRunner
        from scrapy.utils.log import configure_logging
        from scrapy.utils.reactor import install_reactor
        install_reactor("twisted.internet.asyncioreactor.AsyncioSelectorReactor")
        configure_logging(SETTINGS)
        from twisted.internet.defer import inlineCallbacks
        from twisted.internet.task import react

        @inlineCallbacks
        def run(_):
            runner = CrawlerRunner(SETTINGS)
            for cls in SPIDERS:
                yield runner.crawl(cls)

        react(run)
    """,
}
if HAS_REACTORLESS:
    ONE_BY_ONE["AsyncCrawlerRunner without a reactor"] = """
        from scrapy.crawler import AsyncCrawlerRunner
        from scrapy.utils.log import configure_logging
        configure_logging(SETTINGS)

        async def run():
            runner = AsyncCrawlerRunner(SETTINGS | {"TWISTED_REACTOR_ENABLED": False})
            for cls in SPIDERS:
                await runner.crawl(cls)

        asyncio.run(run())
    """
    ONE_BY_ONE["AsyncCrawlerProcess started again"] = """
        from scrapy.crawler import AsyncCrawlerProcess
        for cls in SPIDERS:
            process = AsyncCrawlerProcess(SETTINGS | {"TWISTED_REACTOR_ENABLED": False})
            process.crawl(cls)
            process.start()
    """


@pytest.mark.parametrize("how", ONE_BY_ONE)
async def test_one_after_another(server, tmp_path, how):
    crawl = await crawled(tmp_path, THREE, mode=ONE_BY_ONE[how], BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=2)
    assert arrived(server) == EXPECTED
    kept_apart(crawl, 5, 7, 0)
    assert [one["items"] for one in server.closes] == [5, 7]
    assert crawl.log.count("items taken · ") == 2
    assert "different loop" not in crawl.log
    assert crawl.runs == []
