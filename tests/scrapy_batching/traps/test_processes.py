"""Traps of processes: two crawls of one spider in one (more: ../runs/test_several_crawlers.py), and children of a crawl."""

import pytest

from tests.scrapy_batching.crawls import balanced, crawled, crawling, those
from tests.scrapy_batching.fake_server import Holding

TWINS = """
class Numbers(scrapy.Spider):
    name = "numbers"
    async def start(self):
        for n in range(70):
            yield {"n": n}
            await asyncio.sleep(0)  # the other one's turn

SPIDERS = [Numbers, Numbers]
"""


@pytest.mark.parametrize("mode", those("AsyncCrawlerProcess", "reactorless"))
async def test_two_crawls_of_one_spider_at_once_share_nothing(server, tmp_path, mode):
    """A buffer of the class, as two of the peers have it, mixes them: both have the same table."""
    crawl = await crawled(tmp_path, TWINS, mode=mode, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=20)
    of_crawl = {one["crawl"]: [] for one in server.closes}
    for batch in server.batches.values():
        of_crawl[batch.crawl] += [item["n"] for item in batch.items]
    assert [sorted(numbers) for numbers in of_crawl.values()] == [list(range(70))] * 2
    assert [crawl.batching(index)["items/enqueued"] for index in (0, 1)] == [70, 70]
    assert [one["items"] for one in server.closes] == [70, 70]
    assert all(balanced(crawl.batching(index)) for index in (0, 1))


FORKS = """
import os, signal

class Numbers(scrapy.Spider):
    name = "numbers"
    async def start(self):
        for n in range(7):
            yield {"n": n}
        await self.fork()

    async def fork(self):
        while not os.path.exists("spool"):
            await asyncio.sleep(0)
        child = os.fork()
        if not child:
            signal.alarm(5)  # should its end hang, as a fork beside threads may
            sys.exit(0)  # with all that a process does at its end
        os.waitpid(child, 0)
        self.logger.info("THE CHILD IS GONE")
        while not os.path.exists("go"):
            await asyncio.sleep(0)

SPIDERS = [Numbers]
"""


async def test_a_forked_child_says_no_farewell_for_its_crawl(server, tmp_path):
    """It inherits all that is registered at exit, the open files and the lock: none of them is its own to end."""
    spool, other = tmp_path / "spool", tmp_path / "other"
    other.mkdir()
    settings = {"BATCHING_URL": server.url, "BATCHING_SPOOL_DIR": str(spool), "BATCHING_BATCH_AGE": 1_000}
    async with crawling(tmp_path, FORKS, **settings) as crawl:
        await crawl.line("THE CHILD IS GONE")
        (run,) = crawl.runs
        assert not (run / "close.json").exists()
        # Somebody else who looks for what was left finds that the run is not his.
        await crawled(other, **settings)
        assert crawl.runs == [run]
        (tmp_path / "go").touch()
        assert await crawl.end() == 0
    assert "forced" not in crawl.log
    assert sorted(item["n"] for item in server.items) == sorted([*range(7), *range(7)])
    assert balanced(crawl.batching())
    assert [one["items"] for one in server.closes] == [7, 7]


async def test_two_signals_and_a_child_leave_one_farewell(server, tmp_path):
    """The parent is ended by force: its last resort is written by itself, and not a second time by its child."""
    holding = Holding()
    server.always = holding
    spider = FORKS.replace('self.logger.info("THE CHILD IS GONE")', 'self.logger.info("THE CHILD IS GONE"); return')
    settings = {"BATCHING_URL": server.url, "BATCHING_SPOOL": False, "BATCHING_BATCH_ITEMS": 4}
    (tmp_path / "spool").mkdir()
    async with crawling(tmp_path, spider, **settings) as crawl:
        await holding.reached.wait()
        await crawl.line("THE CHILD IS GONE")
        crawl.signal()
        await crawl.line("shutting down gracefully")
        crawl.signal()
        await crawl.end()
    holding.go.set()
    assert sorted(item["n"] for item in crawl.waiting()) == list(range(7))
    assert len(crawl.runs) == 1
