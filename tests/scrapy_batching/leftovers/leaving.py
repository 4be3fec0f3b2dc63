"""Spools with something left in them: by real crawls that are killed, or written as a crawl writes them."""

import signal
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from scrapy_batching.leftovers.sender import Leftovers
from scrapy_batching.leftovers.telemetry import LeftoverTelemetry
from scrapy_batching.names import uuid7
from scrapy_batching.spool.folder import RunFolder
from scrapy_batching.spool.runs import find_runs
from scrapy_batching.wire.way import Way
from tests.scrapy_batching.crawls import crawling
from tests.scrapy_batching.fake_server import FakeServer

WAITS_TO_BE_KILLED = """
class Numbers(scrapy.Spider):
    name = "numbers"
    @classmethod
    def from_crawler(cls, crawler, *args, **kwargs):
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.seen = 0
        crawler.signals.connect(spider.count, scrapy.signals.item_scraped)
        return spider
    def count(self):
        self.seen += 1
        if self.seen == self.settings.getint("HOW_MANY", 7):
            self.logger.info("EVERY ITEM IS TAKEN")
    async def start(self):
        for n in range(self.settings.getint("HOW_MANY", 7)):
            yield {"n": n}
        await asyncio.Event().wait()

SPIDERS = [Numbers]
"""


async def killed(directory: Path, **settings: Any) -> Path:
    """A crawl that took every item and was SIGKILLed then; gives its spool. The directory exists."""
    async with crawling(directory, WAITS_TO_BE_KILLED, **settings) as crawl:
        await crawl.line("EVERY ITEM IS TAKEN")
        crawl.signal(signal.SIGKILL)
        await crawl.end()
    return Path(settings.get("BATCHING_SPOOL_DIR", directory / "spool"))


def left_by(spool: Path, *counts: int, crawl: str = "old", table: str = "books", **totals: Any) -> list[UUID]:
    """A run with a closed batch of each count of items, all items counted through; with `totals` it has said its close."""
    run = RunFolder.create(spool, crawl=crawl, spider="numbers")
    names, number = [], 0
    for count in counts:
        name = uuid7()
        body = b"".join(orjson.dumps({"n": n}) + b"\n" for n in range(number, number + count))
        run.batch_path(table, name).write_bytes(body)
        run.add_tally({"batch": str(name), "table": table, "items": count})
        names.append(name)
        number += count
    if totals:
        usual = {"items": number, "rejected": 0, "dropped": 0, "spooled": number, "reason": "finished"}
        run.write_close(usual | totals)
    run.release()
    return names


def way(url: str, **more: Any) -> Way:
    """A way to a server, impatient."""
    return Way(**{"url": url, "crawl": "", "retry_base": 0.01, "retry_max": 0.02, "timeout": 5.0} | more)


async def send(spool: Path, url: str, *, refused_too: bool = False, connect=None, **more: Any) -> LeftoverTelemetry:
    """Sends what lies there."""
    telemetry = LeftoverTelemetry()
    await Leftovers(spool, way(url, **more), telemetry, connect=connect).send(refused_too=refused_too)
    return telemetry


def everything(spool: Path) -> list[str]:
    """Every file and folder in a spool, by its name."""
    return sorted(str(one.relative_to(spool)) for one in spool.rglob("*"))


def run_of(spool: Path) -> RunFolder:
    """The only run in a spool."""
    (run,) = find_runs(spool)[0]
    return run


def numbers(server: FakeServer) -> list[int]:
    """The number of every item that the server stored, in order."""
    return sorted(item["n"] for item in server.items)
