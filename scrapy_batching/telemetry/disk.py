"""What is said of the spool and its limits."""

import logging

from scrapy_batching.errors import SpoolFailed
from scrapy_batching.saying import logger_of
from scrapy_batching.telemetry.counts import Counts

logger = logger_of(__name__)


class DiskFacts(Counts):
    """Facts about the disk, and about as much as may wait."""

    _is_disk_bad = False

    def disk_failed(self, error: SpoolFailed) -> None:
        """Something could not be written to the spool; the first time in a row is worth a line."""
        if not self._is_disk_bad:
            self._is_disk_bad = True
            logger.error(
                "batching: items wait in memory, where a killed crawl loses them: %s", error, extra=self._extra
            )

    def disk_works(self) -> None:
        """A whole batch was written again."""
        if self._is_disk_bad:
            self._is_disk_bad = False
            logger.info("batching: the spool can be written again", extra=self._extra)

    def full(self, items: int, size: int, then: str) -> None:
        """As much waits as may wait; the first time is worth a warning."""
        logger.log(
            logging.WARNING if self._first("full") else logging.DEBUG,
            "batching: %d items in %d bytes wait for the server, as many as may (BATCHING_HIGH_WATER_ITEMS,"
            " BATCHING_HIGH_WATER_BYTES): %s",
            items,
            size,
            then,
            extra=self._extra,
        )

    def stuck(self, items: int, size: int) -> None:
        """The gate would never open again: the crawl is stopped."""
        logger.error(
            "batching: %d items in %d bytes that the server did not take (see the lines above) wait in the spool for the"
            " next crawl, as many as may (BATCHING_HIGH_WATER_ITEMS, BATCHING_HIGH_WATER_BYTES): the crawl is stopped"
            " (batching_spool_full). Mend the cause, then: scrapy batches send",
            items,
            size,
            extra=self._extra,
        )
