"""What is said where delivering failed for good, as far as this crawl goes."""

from scrapy_batching.batching.batch import Batch
from scrapy_batching.saying import logger_of
from scrapy_batching.telemetry.delivery import DeliveryFacts

logger = logger_of(__name__)


class FailingFacts(DeliveryFacts):
    """Facts about what BATCHING_ON_FAILURE asks for."""

    _given_up = 0
    _tell_given_up_at = 1

    def gave_up(self, batch: Batch, reason: str) -> None:
        """A batch is let go of, as BATCHING_ON_FAILURE wants; told with the 1st, 10th, 100th, … item."""
        self._counts["batches/dropped"] += 1
        self._counts["items/dropped"] += len(batch)
        self._failed(batch, "dropped", reason, None, None)
        self._given_up += len(batch)
        if self._given_up >= self._tell_given_up_at:
            while self._given_up >= self._tell_given_up_at:
                self._tell_given_up_at *= 10
            logger.critical(
                "batching DROPS batches, %d items so far, the last ones for %s (%s), because BATCHING_ON_FAILURE = 'drop': see"
                " to the server, or write 'spool'; the next line comes at %d",
                *(self._given_up, batch.table, reason, self._tell_given_up_at),
                extra=self._extra,
            )

    def stops(self, reason: str) -> None:
        """The crawl is stopped, as BATCHING_ON_FAILURE wants."""
        if self._first("stops"):
            logger.error(
                "batching: the crawl is stopped (batching_delivery_failed), because BATCHING_ON_FAILURE = 'stop' and a batch"
                " was not taken: %s. It lies in the spool: mend the cause, then: scrapy batches send",
                reason,
                extra=self._extra,
            )
