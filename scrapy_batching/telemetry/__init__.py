"""One call for each fact: it counts, and it logs where somebody should know.

The counts are ours; the stats collector is only written to, because a collector may answer nothing when it is read.
"""

from scrapy_batching.telemetry.announcing import Signals
from scrapy_batching.telemetry.collector import SafeStats, Stats
from scrapy_batching.telemetry.counts import PREFIX
from scrapy_batching.telemetry.disk import DiskFacts
from scrapy_batching.telemetry.end import EndFacts

__all__ = ["PREFIX", "SafeStats", "Signals", "Stats", "Telemetry"]


class Telemetry(EndFacts, DiskFacts):
    """The counts of one crawl, its log lines and its stats."""
