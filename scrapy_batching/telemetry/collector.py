"""The stats collector is a user's: what it raises costs a stat, and no item."""

from typing import Any, Protocol

from scrapy_batching.saying import logger_of

logger = logger_of(__name__)


class Stats(Protocol):
    """What is needed of Scrapy's stats collector."""

    def set_value(self, key: str, value: Any) -> None:
        """Sets one."""


class SafeStats:
    """A collector whose `set_value` never raises. The first time that it would have is worth a line."""

    def __init__(self, stats: Stats, *, spider: object) -> None:
        self._stats = stats
        self._extra = {"spider": spider}
        self._is_told = False

    def set_value(self, key: str, value: Any) -> None:
        """Sets one, if the collector takes it."""
        try:
            self._stats.set_value(key, value)
        except Exception as error:
            if not self._is_told:
                self._is_told = True
                logger.error(
                    "batching: the stats collector raised on %s, so that stats are wrong or missing; items are delivered all"
                    " the same. Further ones are not told: mend the class in STATS_CLASS",
                    key,
                    exc_info=error,
                    extra=self._extra,
                )
