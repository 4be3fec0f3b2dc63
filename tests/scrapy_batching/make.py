"""Parts of a crawl for tests, small and quick."""

from typing import Any

from scrapy_batching.batching.batch import Batch
from scrapy_batching.batching.lines import OpenBatches
from scrapy_batching.names import uuid7
from scrapy_batching.telemetry import Telemetry


class Stats(dict[str, Any]):
    """A stats collector that can only be written to, as Scrapy's DummyStatsCollector is in effect."""

    def set_value(self, key: str, value: Any) -> None:
        self[key.removeprefix("batching/")] = value


def batch(count: int = 3, table: str = "books") -> Batch:
    """A closed batch of {"n": 0}, {"n": 1}, …"""
    lines = tuple(b'{"n":%d}' % n for n in range(count))
    return Batch(uuid7(), table, lines, sum(map(len, lines)) + count, 0.0, "count")


def telemetry() -> tuple[Telemetry, Stats]:
    """A telemetry and the stats that it writes."""
    stats = Stats()
    return Telemetry(stats), stats


def put(batches: OpenBatches, table: str, line: bytes) -> tuple[Batch, ...]:
    """Adds a line with the size that it has in a body."""
    return batches.add(table, line, len(line) + 1)
