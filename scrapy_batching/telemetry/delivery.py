"""What is said of batches on their way to the server."""

import logging
from pathlib import Path
from typing import Any

from scrapy_batching.batching.batch import Batch
from scrapy_batching.errors import SpoolFailed
from scrapy_batching.saying import logger_of
from scrapy_batching.signals import batch_delivered, batch_failed
from scrapy_batching.telemetry.server import ServerFacts
from scrapy_batching.wire.answers import Delivered, Problem
from scrapy_batching.words import in_items

logger = logger_of(__name__)


class DeliveryFacts(ServerFacts):
    """Facts about batches."""

    def closed(self, batch: Batch) -> None:
        """A batch is complete."""
        self._counts["batches/closed"] += 1
        self._counts[f"flush/{batch.cause}"] += 1
        self._counts["bytes/raw"] += batch.size

    def delivered(self, batch: Batch, outcome: Delivered) -> None:
        """The server has the batch for good."""
        self._counts["batches/delivered"] += 1
        self._counts["items/delivered"] += len(batch)
        seconds = self._clock() - batch.first_at
        self._seconds["delivery"].add(seconds)
        self._announcer.announce(batch_delivered, **_named(batch), dead_letters=outcome.failed, seconds=seconds)
        if outcome.failed:
            logger.warning(
                "batching: dead letters on the server: %d of %s of batch %s for %s",
                outcome.failed,
                in_items(len(batch)),
                batch.id,
                batch.table,
                extra=self._extra,
            )

    def split(self, batch: Batch) -> None:
        """A batch was too large and goes on as two."""
        self._counts["batches/split"] += 1
        if self._first("split", batch.table):
            logger.warning(
                "batching: %d items in %d bytes are too much at once for %s, sending halves:"
                " lower BATCHING_BATCH_ITEMS or BATCHING_BATCH_BYTES",
                len(batch),
                batch.size,
                batch.table,
                extra=self._extra,
            )

    def refused(self, batch: Batch, path: Path, reason: str, problem: Problem | None) -> None:
        """A batch was refused for good and lies in `refused/`, at `path`."""
        self._counts["batches/refused"] += 1
        self._counts["items/rejected"] += len(batch)
        self._failed(batch, "refused", reason, problem, path)
        is_first = self._first("refused", batch.table, problem.status if problem else reason)
        logger.log(
            logging.ERROR if is_first else logging.DEBUG,
            "batching: the server refuses %s for %s (%s): %s\n  when it is mended: scrapy batches send --refused%s",
            in_items(len(batch)),
            batch.table,
            reason,
            path,
            "\n  others for the same reason lie beside it and are logged as DEBUG" if is_first else "",
            extra=self._extra,
        )

    def kept(self, batch: Batch, path: Path, reason: str, problem: Problem | None) -> None:
        """A batch stays in the spool when the crawl ends."""
        self._counts["batches/spooled"] += 1
        self._counts["items/spooled"] += len(batch)
        self._failed(batch, "spooled", reason, problem, path)
        is_first = self._first("kept", batch.table, problem.status if problem else reason)
        logger.log(
            logging.ERROR if is_first else logging.DEBUG,
            "batching: a batch of %s for %s is in the spool (%s): %s%s",
            in_items(len(batch)),
            batch.table,
            reason,
            path,
            "\n  the next crawl with this spool sends it, or: scrapy batches send"
            "\n  others for the same reason are counted in the summary and logged as DEBUG"
            if is_first
            else "",
            extra=self._extra,
        )

    def lost(self, batch: Batch, error: SpoolFailed) -> None:
        """Neither the server nor the disk has a batch."""
        self._counts["batches/dropped"] += 1
        self._counts["items/dropped"] += len(batch)
        self._failed(batch, "dropped", str(error), None, None)
        logger.critical("batching LOSES %s for %s: %s", in_items(len(batch)), batch.table, error, extra=self._extra)

    def _failed(self, batch: Batch, fate: str, reason: str, problem: Problem | None, path: Path | None) -> None:
        # Status 0 is a defect of ours, and no answer.
        status = (problem.status or None) if problem else None
        self._announcer.announce(
            batch_failed, **_named(batch), fate=fate, reason=reason, status=status, path=path and path.absolute()
        )


def _named(batch: Batch) -> dict[str, Any]:
    return {"batch_id": str(batch.id), "table": batch.table, "items": len(batch), "size": batch.size}
