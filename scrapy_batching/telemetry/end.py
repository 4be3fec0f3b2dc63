"""What is said of a crawl as a whole: its beginning, its end, and what should not have been."""

import logging
import shlex
from collections.abc import Mapping
from pathlib import Path

from scrapy_batching.closing import MISMATCH, mismatch
from scrapy_batching.saying import logger_of
from scrapy_batching.telemetry.counts import PREFIX
from scrapy_batching.telemetry.failing import FailingFacts
from scrapy_batching.telemetry.items import ItemFacts
from scrapy_batching.words import in_items

logger = logger_of(__name__)


class EndFacts(ItemFacts, FailingFacts):
    """Facts about the crawl."""

    def begun(self, crawl: str, url: str, spool: Path) -> None:
        """The first item came. A crawl that is killed says its id nowhere else."""
        logger.info(
            "batching: the crawl's id is %s; its items go to %s and wait in the spool %s",
            *(crawl, url, spool.absolute()),
            extra=self._extra,
        )

    def closing(self, items: int, seconds: float) -> None:
        """The crawl is over but for delivering."""
        logger.info(
            "batching: the crawl is done and %s %s for the server (%s); it gives up in %d s, and what is left"
            " then stays in the spool (BATCHING_CLOSE_TIMEOUT)",
            in_items(items),
            "waits" if items == 1 else "wait",
            self._away.because or "it is at work",
            seconds,
            extra=self._extra,
        )

    def defect(self, what: str, error: Exception) -> None:
        """An exception that should not have been."""
        logger.error("batching: %s failed; please report this", what, exc_info=error, extra=self._extra)

    def summary(self, crawl: str, reason: str, said: Mapping[str, int], spool: Path) -> None:
        """The one line at the end, and the stats of what the server said; counts that differ become the `finish_reason`."""
        counts = self._counts
        spooled = counts["items/spooled"]
        refused = counts["items/rejected"] - self._not_encodable
        for name, value in said.items():
            self._stats.set_value(f"{PREFIX}server/{name}", value)
        logger.log(
            logging.WARNING if spooled or refused or counts["items/dropped"] else logging.INFO,
            "batching: crawl %s (%s): %d items taken · %d delivered · %d rejected · %d spooled · %d dropped; server: %s%s%s",
            crawl,
            reason,
            self.enqueued,
            *(counts[f"items/{name}"] for name in ("delivered", "rejected", "spooled", "dropped")),
            _in_words(said),
            f"; the server refused {in_items(refused)}: {spool.absolute() / 'refused'} holds them, when that is mended:"
            " scrapy batches send --refused"
            if refused
            else "",
            f"; the next crawl with the spool {spool.absolute()} sends what is in it, or: scrapy batches send"
            if spooled
            else "",
            extra=self._extra,
        )
        wrong = mismatch(said, spooled + refused + self._given_up)
        if wrong:
            self._stats.set_value("finish_reason", MISMATCH)
            self._stats.set_value(PREFIX + "finish_reason", reason)
            logger.error(
                "batching: the counts of crawl %s differ: %s\n  see what and where: ingest-server audit %s",
                *(crawl, wrong, shlex.quote(crawl)),
                extra=self._extra,
            )


def _in_words(said: Mapping[str, int]) -> str:
    """What the server did with the crawl's items; what is not as it should be is always named, zeros of the rest are not."""
    if not said:
        return "did not say"
    failed = said.get("failed", 0)
    kinds = " · ".join(f"{said[name]} {name}" for name in ("inserted", "updated", "unchanged") if said.get(name))
    parts = [
        f"{said.get('succeeded', said.get('processed', 0) - failed)} committed" + (f" ({kinds})" if kinds else ""),
        f"{failed} dead {'letter' if failed == 1 else 'letters'}",
    ]
    if said.get("pending"):
        parts.append(f"{said['pending']} not settled yet")
    if said.get("missing"):
        missing = said["missing"]
        parts.append(f"{missing} MISSING" if missing > 0 else f"{-missing} more than were delivered")
    return ", ".join(parts)
