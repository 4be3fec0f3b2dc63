"""Our signals in real crawls: who is told what, and what a bad handler does, which is nothing."""

import asyncio
import json
import logging
import signal
from pathlib import Path
from typing import Any

import pytest
from scrapy.signalmanager import SignalManager

from scrapy_batching import signals
from scrapy_batching.errors import ItemNotEncodable, SpoolFailed
from scrapy_batching.telemetry import Telemetry
from scrapy_batching.telemetry.announcing import Announcer
from scrapy_batching.wire.answers import Delivered, Problem
from tests.scrapy_batching.crawls import MODES, crawled, crawling
from tests.scrapy_batching.fake_server import Holding, acknowledges, says, takes_at_most
from tests.scrapy_batching.make import Stats, batch

LISTENER = """
from scrapy_batching import signals

class Listener:
    def __init__(self, crawler):
        for name in ("batch_delivered", "batch_failed", "item_rejected"):
            crawler.signals.connect(getattr(self, name), getattr(signals, name))

    @classmethod
    def from_crawler(cls, crawler):
        return cls(crawler)

    def batch_delivered(self, spider, batch_id, table, items, size, dead_letters, seconds):
        self.write("delivered", spider, batch_id, table, items, size, dead_letters, seconds)

    async def batch_failed(self, spider, batch_id, table, items, size, fate, reason, status, path):
        await asyncio.sleep(0)
        self.write(fate, spider, batch_id, table, items, size, reason, status, path)

    def item_rejected(self, item, exception, spider):
        self.write("rejected", spider, repr(item), str(exception))

    def write(self, what, spider, *rest):
        with Path("heard.jsonl").open("a") as out:
            out.write(json.dumps([what, spider.name, *rest], default=str) + "\\n")

SETTINGS["EXTENSIONS"] = {Listener: 0}

class Numbers(scrapy.Spider):
    name = "numbers"
    async def start(self):
        for n in range(7):
            yield {"n": print if n == 3 else n}

SPIDERS = [Numbers]
"""


def heard(directory: Path) -> list[list[Any]]:
    kept = directory / "heard.jsonl"
    return [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []


def lines_of(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


@pytest.mark.parametrize("mode", MODES)
async def test_delivered_batches_and_rejected_items_are_told(server, tmp_path, mode):
    server.tricks.append(acknowledges("committed", 207, failed=1, succeeded=2))
    crawl = await crawled(
        tmp_path, LISTENER, mode=mode, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=3, BATCHING_CONCURRENCY=1
    )
    told = heard(tmp_path)
    (rejected,) = [one for one in told if one[0] == "rejected"]
    assert rejected[:3] == ["rejected", "numbers", "{'n': <built-in function print>}"]
    assert "cannot be written as JSON" in rejected[3]
    first, second = [one for one in told if one[0] == "delivered"]
    ids = list(server.batches)
    assert first[:7] == ["delivered", "numbers", ids[0], "numbers", 3, 24, 1]
    assert second[:7] == ["delivered", "numbers", ids[1], "numbers", 3, 24, 0]
    assert 0 < first[7] < 30
    assert crawl.batching()["signals/skipped"] == 0


async def test_failed_batches_are_told_with_their_fate_and_where_they_lie(server, tmp_path):
    server.tricks.extend([says(422, "no", "price is no number"), says(404, "no such table")])
    await crawled(tmp_path, LISTENER, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=3, BATCHING_CONCURRENCY=1)
    refused, spooled = [one for one in heard(tmp_path) if one[0] in ("refused", "spooled")]
    assert refused[3:8] == ["numbers", 3, 24, "422 no: price is no number", 422]
    assert Path(refused[8]).parent.parent == tmp_path / "spool" / "refused"
    assert Path(refused[8]).stem == refused[2]
    assert spooled[3:8] == ["numbers", 3, 24, "404 no such table; check BATCHING_URL", 404]
    assert len(lines_of(spooled[8])) == 3


async def test_what_is_left_at_the_end_is_told_before_the_crawl_is_over(free_port, tmp_path):
    url = f"http://127.0.0.1:{free_port}"
    await crawled(tmp_path, LISTENER, BATCHING_URL=url, BATCHING_CLOSE_TIMEOUT=0.1)
    (spooled,) = [one for one in heard(tmp_path) if one[0] == "spooled"]
    assert (spooled[4], spooled[7]) == (6, None)
    assert "did not take it before the crawl's end" in spooled[6]


async def test_each_half_of_a_split_batch_is_told_by_itself(server, tmp_path):
    server.always = takes_at_most(3)
    await crawled(tmp_path, LISTENER, BATCHING_URL=server.url)
    assert sorted(one[4] for one in heard(tmp_path) if one[0] == "delivered") == [3, 3]


BAD = LISTENER.replace("SETTINGS[", """
class Bad:
    def __init__(self, crawler):
        crawler.signals.connect(self.raises, signals.batch_delivered)
        crawler.signals.connect(self.is_slow, signals.batch_delivered)
        crawler.signals.connect(self.raises, signals.item_rejected)

    @classmethod
    def from_crawler(cls, crawler):
        return cls(crawler)

    def raises(self):
        raise RuntimeError("a handler's own trouble")

    async def is_slow(self):
        await asyncio.Event().wait()

import scrapy_batching.telemetry.announcing
scrapy_batching.telemetry.announcing.MOST_SECONDS = 0.1
SETTINGS["EXTENSIONS"] = {Bad: 0, Listener: 1}
SETTINGS[""", 1).replace('SETTINGS["EXTENSIONS"] = {Listener: 0}', "")  # fmt: skip


async def test_handlers_that_raise_or_never_return_harm_nobody(server, tmp_path):
    async with crawling(tmp_path, BAD, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=3) as crawl:
        assert await crawl.end() == 0
    assert "7 items taken · 6 delivered · 1 rejected" in crawl.log
    assert [one[0] for one in heard(tmp_path)].count("delivered") == 2
    assert "a handler's own trouble" in crawl.log
    assert crawl.log.count("Error caught on signal handler") == 3
    assert "2 handlers of batching's signals were still at work 0.1 s after the crawl and are ended" in crawl.log
    assert server.closes[-1]["items"] == 7


class Forced:
    """Scrapy's own manager, and who hears."""

    def __init__(self) -> None:
        self.manager = SignalManager(self)
        self.heard: list[Any] = []

    def hear(self, **told: Any) -> None:
        self.heard.append({name: told[name] for name in told if name not in ("signal", "sender")})


def test_without_a_loop_handlers_are_called_at_once():
    """At exit, after a crawl that was ended by force."""

    async def needs_a_loop() -> None:
        raise AssertionError

    forced = Forced()
    forced.manager.connect(forced.hear, signals.batch_failed)
    forced.manager.connect(needs_a_loop, signals.batch_failed)
    facts = Telemetry(Stats(), spider="the spider", signals=forced.manager)
    one = batch(2)
    facts.kept(one, Path("/spool/x.ndjson"), "the crawl was ended by force", None)
    facts.lost(one, SpoolFailed(Path("/spool"), "no space left"))
    spooled, dropped = forced.heard
    assert spooled == {
        "spider": "the spider",
        "batch_id": str(one.id),
        "table": "books",
        "items": 2,
        "size": one.size,
        "fate": "spooled",
        "reason": "the crawl was ended by force",
        "status": None,
        "path": Path("/spool/x.ndjson"),
    }
    assert (dropped["fate"], dropped["path"]) == ("dropped", None)
    assert "no space left" in dropped["reason"]


async def test_a_handler_that_never_ends_does_not_use_up_the_memory(caplog):
    forced, holding = Forced(), asyncio.Event()

    async def slow() -> None:
        await holding.wait()

    forced.manager.connect(slow, signals.item_rejected)
    announcer = Announcer(forced.manager, spider=None, most_waiting=3)
    for n in range(10):
        announcer.announce(signals.item_rejected, item=n, exception=None)
    assert announcer.skipped == 7
    assert [one.levelno for one in caplog.records] == [logging.WARNING]
    holding.set()
    await announcer.finish(5.0)
    announcer.announce(signals.item_rejected, item=11, exception=None)
    assert announcer.skipped == 7
    await announcer.finish(5.0)


async def test_nothing_is_sent_where_nobody_listens():
    class Counting(SignalManager):
        sent = 0

        async def send_catch_log_async(self, signal: Any, **facts: Any) -> list[tuple[Any, Any]]:
            Counting.sent += 1
            return []

    manager = Counting(object())
    facts = Telemetry(Stats(), signals=manager)
    before = len(asyncio.all_tasks())
    facts.delivered(batch(3), Delivered(3, 0))
    facts.refused(batch(3), Path("x"), "no", Problem(422, "no", ""))
    facts.rejected(ItemNotEncodable("Book", "price", "builtins.object"), object())
    assert len(asyncio.all_tasks()) == before
    assert manager.sent == 0


async def test_a_slow_server_and_a_listener_do_not_wait_for_each_other(server, tmp_path):
    holding = Holding()
    server.tricks.append(holding)
    async with crawling(tmp_path, LISTENER, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=3) as crawl:
        await holding.reached.wait()
        holding.go.set()
        assert await crawl.end() == 0
    assert len([one for one in heard(tmp_path) if one[0] == "delivered"]) == 2


async def test_a_crawl_that_is_ended_by_force_tells_handlers_that_need_no_loop(server, tmp_path):
    holding = Holding()
    server.always = holding
    plain = LISTENER.replace("async def batch_failed", "def batch_failed").replace("await asyncio.sleep(0)", "pass")
    async with crawling(tmp_path, plain, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=3) as crawl:
        # With every item given. Before anything else: a crawl that does not come so far has no such line, and says so.
        await crawl.line("Closing spider")
        await holding.reached.wait()
        crawl.signal(signal.SIGINT)
        await crawl.line("shutting down gracefully")
        crawl.signal(signal.SIGINT)
        await crawl.end()
    holding.go.set()
    spooled = [one for one in heard(tmp_path) if one[0] == "spooled"]
    assert [one[4] for one in spooled] == [3, 3]
    assert {one[6] for one in spooled} == {"the crawl was ended by force"}
