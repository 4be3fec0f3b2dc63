"""One call for each fact about what earlier crawls left: it counts, and it logs where somebody should know."""

import logging
import shlex
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from scrapy_batching.batching.batch import Batch
from scrapy_batching.closing import mismatch
from scrapy_batching.saying import logger_of
from scrapy_batching.telemetry import PREFIX, SafeStats, Stats
from scrapy_batching.telemetry.outage import Outage
from scrapy_batching.wire.answers import Delivered, ForLater
from scrapy_batching.words import in_batches, in_items

logger = logger_of(__name__)


class LeftoverTelemetry:
    """The counts of one sending of leftovers, its log lines and, in a crawl, its stats (`batching/leftovers/…`, `…/recovered`).

    They are no part of the crawl's own counts. `changed` is called after each batch.
    """

    def __init__(
        self,
        stats: Stats | None = None,
        *,
        spider: object = None,
        changed: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts: Counter[str] = Counter()
        """`batches/…` and `items/…` of found, delivered, refused and waiting; `batches/split`; `retries`."""
        self.problem = ""
        """The last thing that kept something from being delivered."""
        self._stats = None if stats is None else SafeStats(stats, spider=spider)
        self._extra = {"spider": spider}
        self._changed = changed
        self._outage = Outage(clock)
        self._told: set[object] = set()

    @property
    def delivered_so_far(self) -> tuple[int, int]:
        """Batches and items."""
        return self.counts["batches/delivered"], self.counts["items/delivered"]

    def found(self, batches: int, items: int) -> None:
        """Sending begins."""
        self._count("found", batches, items)
        logger.info(
            "batching: what earlier crawls left is sent now, oldest first: %s",
            in_batches(items, batches),
            extra=self._extra,
        )

    def ended(self) -> None:
        """Sending is over: the line at its end."""
        counts = self.counts
        logger.info(
            "batching: of what earlier crawls left: %s delivered, %d refused, %d waiting on",
            *(in_items(counts["items/delivered"]), counts["items/refused"], counts["items/waiting"]),
            extra=self._extra,
        )

    def cut_off(self) -> None:
        """The crawl has no more time for it."""
        counts = self.counts
        items = counts["items/found"] - counts["items/delivered"] - counts["items/refused"]
        if items > 0:
            logger.warning(
                "batching: of what earlier crawls left: %s waiting on in the spool, for the time is over"
                " (BATCHING_CLOSE_TIMEOUT); the next crawl sends them, or: scrapy batches send",
                in_items(items),
                extra=self._extra,
            )

    def answered(self, status: int) -> None:
        """An answer came."""
        self.counts[f"status/{status}"] += 1

    def took(self, seconds: float) -> None:
        """The answer to a body came."""

    def sent(self, size: int) -> None:
        """A body went out."""
        self.counts["bytes/sent"] += size

    def again(self, reason: str) -> None:
        """A try has to be repeated."""
        self.counts["retries"] += 1
        if not self._outage.because:
            self.problem = f"the server does not take it now ({reason})"
        self._tell()

    def unavailable(self, reason: str, *, is_told: bool = False, remedy: str = "") -> None:
        """The server takes nothing; the first of a few in a row is worth a line."""
        known = "it takes batches again by itself" if is_told else "start it, or check BATCHING_URL"
        self.problem = f"the server takes nothing ({reason}): {remedy or known}"
        more = self._outage.away(reason)
        if more is not None:
            logger.warning("batching: what earlier crawls left waits: %s%s", self.problem, more, extra=self._extra)
        self._tell()

    def available(self) -> None:
        """The server took something again."""
        self.problem = ""
        seconds = self._outage.back()
        if seconds is not None:
            logger.info("batching: the server takes leftovers again after %.1f s", seconds, extra=self._extra)

    def falls_back(self, coding: str, other: str) -> None:
        """The server takes no bodies in one coding, and gets them in another."""
        logger.warning("batching: the server takes no %s bodies (415); they go as %s", coding, other, extra=self._extra)

    def delivered(self, batch: Batch, outcome: Delivered) -> None:
        """The server has a batch, or a half of one, for good."""
        self._count("delivered", 1, len(batch))
        if outcome.failed:
            logger.warning(
                "batching: dead letters on the server: %d of %s of batch %s for %s",
                *(outcome.failed, in_items(len(batch)), batch.id, batch.table),
                extra=self._extra,
            )

    def split(self, batch: Batch) -> None:
        """A batch is too large and goes on as its halves."""
        self.counts["batches/split"] += 1
        logger.info("batching: %d items for %s are sent as halves", len(batch), batch.table, extra=self._extra)

    def refused(self, batch: Batch, path: Path, reason: str) -> None:
        """The server will never have a batch."""
        self._count("refused", 1, len(batch))
        is_first = self._first("refused", batch.table, reason)
        logger.log(
            logging.ERROR if is_first else logging.DEBUG,
            "batching: the server refuses %s for %s (%s): %s\n  when it is mended: scrapy batches send --refused",
            *(in_items(len(batch)), batch.table, reason, path),
            extra=self._extra,
        )

    def waits(self, table: str, batches: int, items: int, why: ForLater) -> None:
        """Batches stay where they are, until somebody mends what the server says."""
        self._count("waiting", batches, items)
        whose = "" if why.whose == "server" else table
        self.problem = f"{whose}: {why.problem}" if whose else str(why.problem)
        if self._first("waits", whose, why.problem.status):
            logger.warning(
                "batching: what earlier crawls left%s stays in the spool (%s); %sthe next crawl sends it, or: scrapy"
                " batches send",
                *(f" for {whose}" if whose else "", why.problem, f"{why.remedy}; then " if why.remedy else ""),
                extra=self._extra,
            )

    def foreign(self, path: Path) -> None:
        """Something in the spool is not ours, or of another version."""
        logger.warning("batching: %s is no batch of this version's and is left alone", path, extra=self._extra)

    def torn(self, table: str, path: Path) -> None:
        """A file's last line had no end."""
        logger.warning(
            "batching: the last line of a batch for %s was cut off by a full disk or a crash, and lies in %s",
            *(table, path),
            extra=self._extra,
        )

    def vanished(self, path: Path, items: int) -> None:
        """A file is empty that held items once: fsync had not happened before the power went."""
        logger.error("batching: %s is empty, and what it held is lost: %s", path, in_items(items), extra=self._extra)

    def closed(self, crawl: str, said: Mapping[str, int], kept: int) -> None:
        """The server has a crawl's totals; `kept` of its items lie in the spool."""
        wrong = mismatch(said, kept)
        if wrong:
            logger.error(
                "batching: the counts of the earlier crawl %s differ: %s\n  see what and where: ingest-server audit %s",
                *(crawl, wrong, shlex.quote(crawl)),
                extra=self._extra,
            )

    def not_closed(self, crawl: str) -> None:
        """The server did not take a crawl's totals; whoever sends leftovers next tells them."""
        logger.warning(
            "batching: the totals of crawl %s could not be told, the next crawl does", crawl, extra=self._extra
        )

    def failed(self, path: Path, error: Exception) -> None:
        """The disk would not; nothing is lost by that."""
        self.problem = f"{path}: {error}"
        logger.error("batching: %s cannot be sent now, and stays: %s", path, error, extra=self._extra)

    def defect(self, what: str, error: Exception) -> None:
        """An exception that should not have been."""
        self.problem = f"{what} failed: {type(error).__name__}"
        logger.error("batching: %s failed; please report this", what, exc_info=error, extra=self._extra)

    def _count(self, what: str, batches: int, items: int) -> None:
        self.counts[f"batches/{what}"] += batches
        self.counts[f"items/{what}"] += items
        if self._stats is not None:
            for one in ("batches", "items"):
                # What became of them: beside what the crawl's own items became, under a name of its own.
                name = f"{one}/recovered" if what == "delivered" else f"leftovers/{one}/{what}"
                self._stats.set_value(PREFIX + name, self.counts[f"{one}/{what}"])
        self._tell()

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed()

    def _first(self, *key: object) -> bool:
        if key in self._told:
            return False
        self._told.add(key)
        return True
