"""A delivery to a fake server for tests, with nothing in between that takes time."""

import asyncio
import json
import time

from scrapy_batching.batching.lines import OpenBatches
from scrapy_batching.delivery.holding import Delivery
from scrapy_batching.delivery.pace import Pace
from scrapy_batching.delivery.sender import Sender
from scrapy_batching.spool.crawl import Spool
from scrapy_batching.wire.backoff import full_jitter
from scrapy_batching.wire.client import Client
from scrapy_batching.wire.way import Link, Way
from tests.scrapy_batching.make import put, telemetry


class Bench:
    """A delivery to a fake server, and what it did."""

    def __init__(
        self, url, directory, most=2, clock=time.monotonic, tell_seconds=10.0, way=None, jitter=full_jitter, **delivery
    ):
        self.telemetry, self.stats = telemetry()
        self.released: list[tuple[int, int]] = []
        self.parked: list[tuple[int, int]] = []
        self.stopped: list[str] = []
        self.gone = asyncio.Event()
        self.directory = directory
        self.spool = Spool(directory, crawl="c", spider="s", observer=self.telemetry)
        way = Way(**{"url": url, "crawl": "c", "retry_base": 0.002, "retry_max": 0.01} | (way or {}))
        self.link = Link(way, self.telemetry, clock=clock, jitter=jitter)
        self.client = Client(way, self.telemetry, link=self.link)
        self.pace = Pace(most)

        def sender(custody):
            return Sender(
                self.client,
                self.link,
                way,
                self.telemetry,
                custody,
                pace=self.pace,
                again_seconds=0.01,
                deadline=delivery.get("deadline", 0.0),
                clock=clock,
                jitter=jitter,
            )

        self.delivery = Delivery(
            sender,
            self.spool,
            self.telemetry,
            address=way.batches,
            released=lambda gone: self._let_go(self.released, gone),
            parked=lambda gone: self._let_go(self.parked, gone),
            stop=self.stopped.append,
            clock=clock,
            tell_seconds=tell_seconds,
            **delivery,
        )

    def _let_go(self, where, gone):
        where.append((len(gone), gone.size))
        self.gone.set()

    async def until(self, is_so):
        """Returns when it is so after a batch was let go of."""
        async with asyncio.timeout(10):
            while not is_so():
                self.gone.clear()
                await self.gone.wait()

    async def end(self):
        await self.delivery.stop()
        await self.client.close()

    def counts(self):
        self.telemetry.publish()
        return self.stats

    def filed(self, count=3, table="books"):
        """A closed batch whose items lie in its file."""
        open_batches = OpenBatches(
            most_items=count, most_bytes=10**6, most_age=5.0, clock=lambda: 0.0, place=self.spool.place
        )
        (closed,) = [one for n in range(count) for one in put(open_batches, table, b'{"n":%d}' % n)]
        return closed

    def files(self):
        return sorted(self.directory.glob("*/books/*.ndjson"))

    def lines(self, kind):
        files = self.directory.rglob("*.ndjson") if kind == "refused" else self.directory.glob("*/*/*.ndjson")
        files = [file for file in files if ("refused" in file.parts) == (kind == "refused")]
        return sorted(json.loads(line)["n"] for file in files for line in file.read_text().splitlines())
