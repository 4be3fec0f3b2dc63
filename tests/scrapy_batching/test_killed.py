"""Crawls that end in every bad way, on a real disk: what `process_item` returned for is on it."""

import json
import random

import pytest

from tests.scrapy_batching.crawls import NUMBERS, balanced, crawled, crawling, those
from tests.scrapy_batching.fake_server import Holding

KILLED = """
import os, signal

class Seen:
    # The next pipeline: what comes here was taken by ours. A signal would come a hundred items later.
    def __init__(self, kill_at):
        self.left = kill_at
        self.seen = os.open("seen", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @classmethod
    def from_crawler(cls, crawler):
        return cls(crawler.settings.getint("KILL_AT"))

    def process_item(self, item):
        os.write(self.seen, b"%d\\n" % item.get("n", -1))
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

class Numbers(scrapy.Spider):
    name = "numbers"
    custom_settings = {"ITEM_PIPELINES": {Seen: 950}}

    async def start(self):
        yield scrapy.Request("data:,x")

    def parse(self, response):
        for n in range(5_000):
            yield {"n": n} if n % 50 else {"x": complex(1, 2)}

SPIDERS = [Numbers]
"""


@pytest.mark.parametrize("is_there", [True, False], ids=["server there", "server away"])
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_sigkill_at_any_item_loses_none_that_was_taken(server, tmp_path, unused_tcp_port, seed, is_there):
    kill_at = random.Random(seed).randrange(1, 4_000)
    url = server.url if is_there else f"http://127.0.0.1:{unused_tcp_port}"
    more = {"KILL_AT": kill_at, "BATCHING_BATCH_ITEMS": 300, "LOG_LEVEL": "WARNING"}
    async with crawling(tmp_path, KILLED, BATCHING_URL=url, **more) as crawl:
        assert await crawl.end() == -9
    seen = [int(line) for line in (tmp_path / "seen").read_text().split()]
    assert len(seen) == kill_at
    taken = {n for n in seen if n >= 0}
    on_disk = [item["n"] for item in crawl.waiting()]
    assert taken <= set(on_disk) | {item["n"] for item in server.items}
    assert len(on_disk) == len(set(on_disk))
    # The totals of the killed crawl are known to the item.
    (run,) = crawl.runs
    tally = [json.loads(line) for line in (run / "tally.ndjson").read_text().splitlines()]
    named = {one["batch"] for one in tally if "batch" in one}
    counted = sum(one.get("items", 0) + one.get("rejected", 0) for one in tally)
    for file in run.glob("*/*.ndjson"):
        counted += 0 if file.stem in named else len(file.read_text().splitlines())
    # Those that were on their way when it was killed were taken too.
    assert len(seen) <= counted <= len(seen) + 100
    assert all(len(file.read_bytes()) == 0 or file.read_bytes().endswith(b"\n") for file in run.glob("*/*.ndjson"))


async def test_the_next_crawl_delivers_what_a_killed_one_left(server, tmp_path, unused_tcp_port):
    away = f"http://127.0.0.1:{unused_tcp_port}"
    async with crawling(tmp_path, KILLED, BATCHING_URL=away, KILL_AT=700, LOG_LEVEL="WARNING") as crawl:
        assert await crawl.end() == -9
    left = sorted(item["n"] for item in crawl.waiting())
    crawl = await crawled(tmp_path, BATCHING_URL=server.url)
    assert crawl.waiting() == crawl.runs == []
    by_crawl = {batch.crawl: [] for batch in server.batches.values()}
    for batch in server.batches.values():
        by_crawl[batch.crawl] += [item["n"] for item in batch.items]
    assert sorted(map(sorted, by_crawl.values()), key=len) == [list(range(7)), left]
    assert crawl.batching()["items/enqueued"] == 7


DISK_FULL = NUMBERS.replace(
    "for n in range",
    """import resource
        # Python ignores SIGXFSZ, so that a file that grows beyond it is an error like a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, 3_000))
        for n in range""",
)


async def test_a_full_disk_is_one_loud_line_and_no_loss(server, tmp_path):
    crawl = await crawled(tmp_path, DISK_FULL, BATCHING_URL=server.url, HOW_MANY=2_000)
    assert sorted(item["n"] for item in server.items) == list(range(2_000))
    stats = crawl.batching()
    assert stats["items/delivered"] == 2_000
    assert stats["flush/disk"] > 0
    assert crawl.log.count("items wait in memory, where a killed crawl loses them") == 1
    assert "File too large" in crawl.log
    assert "BATCHING_SPOOL_DIR" in crawl.log
    assert crawl.runs == []


HELD = """
from scrapy_batching.water import Water

class Held(Numbers):
    name = "numbers"

    async def watch(self):
        water = Water.of(self.crawler)
        while not water.waited_seconds:
            await asyncio.sleep(0)
        self.logger.info("HELD with %d waiting", water.items)

    async def start(self):
        self.task = asyncio.create_task(self.watch())
        async for one in super().start():
            yield one

SPIDERS = [Held]
"""


async def test_on_a_full_disk_the_gate_holds_by_memory_alone(server, tmp_path):
    holding = Holding()
    server.always = holding
    settings = {"HOW_MANY": 30_000, "LOG_LEVEL": "INFO", "BATCHING_BATCH_AGE": 1_000}
    async with crawling(tmp_path, DISK_FULL + HELD, BATCHING_URL=server.url, **settings) as crawl:
        await crawl.line("as many as may")
        # Until the spider really waits, or the server might be back before it came to the gate.
        line = await crawl.line("HELD with")
        # About two of three items are in memory: a new batch tries the disk each time.
        assert 10_000 <= int(line.split()[-2]) < 30_000
        holding.go.set()
        assert await crawl.end() == 0
    assert len(server.items) == 30_000
    assert crawl.batching()["backpressure_seconds"] > 0


async def test_two_crawls_that_share_a_directory_do_not_disturb_each_other(server, tmp_path):
    """One comes and goes while the other one's batches wait; and the other one's files are nobody's but its own."""
    holding = Holding()

    async def only_held(fake, request, body):
        if b'"n":20' in body:
            await holding(fake, request, body)

    server.always = only_held
    spool = str(tmp_path / "both")
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    async with crawling(first, BATCHING_URL=server.url, HOW_MANY=30, BATCHING_SPOOL_DIR=spool) as held:
        await holding.reached.wait()
        crawl = await crawled(second, BATCHING_URL=server.url, HOW_MANY=5, BATCHING_SPOOL_DIR=spool)
        assert crawl.batching()["items/delivered"] == 5
        assert len(list((tmp_path / "both").glob("*/numbers/*.ndjson"))) == 1
        holding.go.set()
        assert await held.end() == 0
    assert len(server.items) == 35
    assert len(server.sent) == 2
    assert list((tmp_path / "both").iterdir()) == []


async def test_what_is_not_ours_in_the_spool_is_left_alone_with_a_word(server, tmp_path):
    spool = tmp_path / "spool"
    other = spool / "0190f0d0-0000-7000-8000-000000000001"
    (other / "numbers").mkdir(parents=True)
    (other / "about.json").write_text('{"format": 2, "crawl": "of another version"}')
    (other / "numbers" / "x.ndjson").write_text('{"n": 1}\n')
    (spool / "notes.txt").write_text("mine")
    crawl = await crawled(tmp_path, BATCHING_URL=server.url)
    assert len(server.items) == 7
    assert (other / "numbers" / "x.ndjson").read_text() == '{"n": 1}\n'
    assert (spool / "notes.txt").read_text() == "mine"
    for path in (other, spool / "notes.txt"):
        assert len([line for line in crawl.log.splitlines() if "WARNING" in line and str(path) in line]) == 1


async def test_a_spool_that_cannot_be_written_stops_the_crawl_at_its_start(server, tmp_path):
    async with crawling(tmp_path, BATCHING_URL=server.url, BATCHING_SPOOL_DIR="/proc/x") as crawl:
        await crawl.end()
    assert "BATCHING_SPOOL_DIR = /proc/x" in crawl.log
    assert "write a directory that this user may write to" in crawl.log
    assert server.sent == []


@pytest.mark.parametrize("mode", those("AsyncCrawlerProcess", "reactorless"))
async def test_without_a_spool_a_forced_end_writes_what_is_in_memory(server, tmp_path, mode):
    holding = Holding()
    server.always = holding
    settings = {"BATCHING_SPOOL": False, "BATCHING_BATCH_ITEMS": 5}
    async with crawling(tmp_path, mode=mode, BATCHING_URL=server.url, **settings) as crawl:
        await holding.reached.wait()
        await crawl.line("{'n': 6}")
        assert crawl.runs == []
        crawl.signal()
        await crawl.line("shutting down gracefully")
        crawl.signal()
        await crawl.end()
    holding.go.set()
    assert sorted(item["n"] for item in crawl.waiting()) == list(range(7))
    (run,) = crawl.runs
    assert json.loads((run / "close.json").read_text())["spooled"] == 7


async def test_without_a_spool_a_good_crawl_leaves_no_file(server, tmp_path):
    crawl = await crawled(tmp_path, BATCHING_URL=server.url, BATCHING_SPOOL=False)
    assert balanced(crawl.batching())
    assert not (tmp_path / "spool").exists()
