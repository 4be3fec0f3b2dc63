"""Writes what Scrapy counted to a file, so that the demo and the tests can compare it with what the tables hold."""

import json
from pathlib import Path
from typing import Self

from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured


class StatsFile:
    """Off unless `STATS_FILE` names a file."""

    def __init__(self, crawler: Crawler, path: Path) -> None:
        self._crawler = crawler
        self._path = path

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        path = crawler.settings.get("STATS_FILE")
        if not path:
            raise NotConfigured
        extension = cls(crawler, Path(path).absolute())
        # The last signal there is: whatever is counted while the spider closes is in.
        crawler.signals.connect(extension.engine_stopped, signal=signals.engine_stopped)
        return extension

    def engine_stopped(self) -> None:
        assert self._crawler.stats is not None
        stats = self._crawler.stats.get_stats()
        # Written aside and renamed: whoever waits for the file never reads half of it.
        fresh = self._path.with_name(f"{self._path.name}.part")
        fresh.write_text(json.dumps(stats, default=str, indent=2, sort_keys=True))
        fresh.replace(self._path)
