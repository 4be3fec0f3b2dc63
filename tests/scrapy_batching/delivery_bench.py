"""A delivery to a fake server for tests, with nothing in between that takes time."""

import asyncio
import json
import time

from scrapy_batching.batcher import OpenBatches
from scrapy_batching.delivery import Delivery
from scrapy_batching.spool.crawl import Spool
from scrapy_batching.wire.client import Client, Way
from tests.scrapy_batching.make import telemetry


class Bench:
    """A delivery to a fake server, and what it did."""

    def __init__(self, url, directory, senders=2, clock=time.monotonic, tell_seconds=10.0):
        self.telemetry, self.stats = telemetry()
        self.released: list[tuple[int, int]] = []
        self.directory = directory
        self.spool = Spool(directory, crawl="c", spider="s", observer=self.telemetry)
        way = Way(url=url, crawl="c")

        async def pause(_seconds):
            await asyncio.sleep(0)

        self.client = Client(way, self.telemetry, pause=pause)
        self.delivery = Delivery(
            self.client,
            self.spool,
            self.telemetry,
            senders=senders,
            address=way.batches,
            released=lambda gone: self.released.append((len(gone), gone.size)),
            clock=clock,
            tell_seconds=tell_seconds,
            again_seconds=0.01,
        )

    async def end(self):
        await self.delivery.stop()
        await self.client.close()

    def counts(self):
        self.telemetry.publish(0)
        return self.stats

    def filed(self, count=3, table="books"):
        """A closed batch whose items lie in its file."""
        open_batches = OpenBatches(
            most_items=count, most_bytes=10**6, most_age=5.0, clock=lambda: 0.0, place=self.spool.place
        )
        (closed,) = [one for n in range(count) for one in open_batches.add(table, b'{"n":%d}' % n)]
        return closed

    def files(self):
        return sorted(self.directory.glob("*/books/*.ndjson"))

    def lines(self, kind):
        files = self.directory.rglob("*.ndjson") if kind == "refused" else self.directory.glob("*/*/*.ndjson")
        files = [file for file in files if ("refused" in file.parts) == (kind == "refused")]
        return sorted(json.loads(line)["n"] for file in files for line in file.read_text().splitlines())
