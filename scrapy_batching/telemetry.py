"""One call for each fact: it counts, and it logs where somebody should know.

The counts are ours; the stats collector is only written to, because a collector may answer nothing when it is read.
"""

import logging
import shlex
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from scrapy_batching.batcher import CAUSES, Batch
from scrapy_batching.closing import FIGURES, MISMATCH, mismatch
from scrapy_batching.errors import ItemNotEncodable, SpoolFailed
from scrapy_batching.spool.refusals import Spooled
from scrapy_batching.wire.answers import Delivered, Problem

logger = logging.getLogger(__name__)

PREFIX = "batching/"
_ITEMS = ("enqueued", "delivered", "rejected", "spooled", "dropped", "altered")
_BATCHES = ("closed", "sent", "delivered", "split", "refused", "spooled")


class Stats(Protocol):
    """What is needed of Scrapy's stats collector."""

    def set_value(self, key: str, value: Any) -> None:
        """Sets one."""


class Telemetry:
    """The counts of one crawl, its log lines and its stats."""

    def __init__(self, stats: Stats, *, spider: object = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stats = stats
        self._extra = {"spider": spider}
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._away_since: float | None = None
        self._away_because = ""
        self._is_disk_bad = False
        self._over = 0
        self._tell_at = 1
        self._told: set[object] = set()
        self._not_encodable = 0
        self.enqueued = 0
        """Items that the pipeline took: a plain number, for it is counted once for each item."""

    @property
    def totals(self) -> dict[str, int]:
        """What the crawl's close tells the server."""
        named = {name: self._counts[f"items/{name}"] for name in ("rejected", "dropped", "spooled")}
        return {"items": self.enqueued, **named}

    def begun(self, crawl: str, url: str, spool: Path) -> None:
        """The first item came. A crawl that is killed says its id nowhere else."""
        logger.info(
            "batching: the crawl's id is %s; its items go to %s and wait in the spool %s",
            *(crawl, url, spool.absolute()),
            extra=self._extra,
        )

    def rejected(self, error: ItemNotEncodable) -> None:
        """An item has no form as JSON."""
        self._counts["items/rejected"] += 1
        self._not_encodable += 1
        logger.error("batching rejects an item: %s", error, extra=self._extra)

    def altered(self, item_type: str) -> None:
        """An item held NaN or an infinity, which JSON cannot say."""
        self._counts["items/altered"] += 1
        if self._first("altered", item_type):
            logger.warning(
                "batching wrote NaN or an infinity in a %s as null; further ones are only counted, in"
                " batching/items/altered",
                item_type,
                extra=self._extra,
            )

    def closed(self, batch: Batch) -> None:
        """A batch is complete."""
        self._counts["batches/closed"] += 1
        self._counts[f"flush/{batch.cause}"] += 1
        self._counts["bytes/raw"] += batch.size

    def sent(self, size: int) -> None:
        """A body went out."""
        self._counts["batches/sent"] += 1
        self._counts["bytes/sent"] += size

    def answered(self, status: int) -> None:
        """An answer came."""
        self._counts[f"status/{status}"] += 1

    def unavailable(self, reason: str, *, is_told: bool = False) -> None:
        """The server could not take something; the first time in a row is worth a line."""
        self._counts["retries"] += 1
        self._away_because = reason
        if self._away_since is None:
            self._away_since = self._clock()
            logger.warning(
                "batching: the server takes nothing (%s); batches wait. %s",
                reason,
                "It takes batches again by itself"
                if is_told
                else "If it does not run: ingest-server run; if it runs elsewhere: BATCHING_URL",
                extra=self._extra,
            )

    def available(self) -> None:
        """The server took something again."""
        if self._away_since is not None:
            self._away_because = ""
            seconds, self._away_since = self._clock() - self._away_since, None
            logger.info("batching: the server takes batches again after %.1f s", seconds, extra=self._extra)

    def delivered(self, batch: Batch, outcome: Delivered) -> None:
        """The server has the batch for good."""
        self._counts["batches/delivered"] += 1
        self._counts["items/delivered"] += len(batch)
        if outcome.failed:
            logger.warning(
                "batching: %d of %d items of batch %s for %s are dead letters on the server",
                outcome.failed,
                len(batch),
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

    def refused(self, batch: Batch, where: Spooled, reason: str, problem: Problem | None) -> None:
        """A batch was refused for good and lies in `refused/`."""
        self._counts["batches/refused"] += 1
        self._counts["items/rejected"] += len(batch)
        is_first = self._first("refused", batch.table, problem.status if problem else reason)
        logger.log(
            logging.ERROR if is_first else logging.DEBUG,
            "batching: %d items for %s are refused (%s): %s\n  send them again with: %s%s",
            len(batch),
            batch.table,
            reason,
            where.path,
            where.resend,
            "\n  others for the same reason lie beside it and are logged as DEBUG" if is_first else "",
            extra=self._extra,
        )

    def kept(self, batch: Batch, path: Path, reason: str, problem: Problem | None) -> None:
        """A batch stays in the spool when the crawl ends."""
        self._counts["batches/spooled"] += 1
        self._counts["items/spooled"] += len(batch)
        is_first = self._first("kept", batch.table, problem.status if problem else reason)
        logger.log(
            logging.ERROR if is_first else logging.DEBUG,
            "batching: a batch of %d items for %s is in the spool (%s): %s%s",
            len(batch),
            batch.table,
            reason,
            path,
            "\n  the next crawl with this spool sends it, or: scrapy batches send"
            "\n  others for the same reason are counted in the summary and logged as DEBUG"
            if is_first
            else "",
            extra=self._extra,
        )

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

    def dropped(self) -> None:
        """An item was let go because as much waits as may wait; told the 1st, 10th, 100th, … time."""
        self._counts["items/dropped"] += 1
        self._over += 1
        if self._over == self._tell_at:
            self._tell_at *= 10
            logger.critical(
                "batching DROPS items, %d so far, because the spool is full (BATCHING_WHEN_FULL = 'drop'): see to the"
                " server, or raise BATCHING_HIGH_WATER_ITEMS and BATCHING_HIGH_WATER_BYTES; the next line comes at %d",
                self._over,
                self._tell_at,
                extra=self._extra,
            )

    def closing(self, items: int, seconds: float) -> None:
        """The crawl is over but for delivering."""
        logger.info(
            "batching: the crawl is done and %d items wait for the server (%s); it gives up in %d s, and what is left"
            " then stays in the spool (BATCHING_CLOSE_TIMEOUT)",
            items,
            self._away_because or "it is at work",
            seconds,
            extra=self._extra,
        )

    def lost(self, batch: Batch, error: SpoolFailed) -> None:
        """Neither the server nor the disk has a batch."""
        self._counts["items/dropped"] += len(batch)
        logger.critical("batching LOSES %d items for %s: %s", len(batch), batch.table, error, extra=self._extra)

    def defect(self, what: str, error: Exception) -> None:
        """An exception that should not have been."""
        logger.error("batching: %s failed; please report this", what, exc_info=error, extra=self._extra)

    def publish(self, waited_seconds: float) -> None:
        """Brings the stats up to date."""
        put, counts = self._stats.set_value, self._counts
        counts["items/enqueued"] = self.enqueued
        names = {f"items/{one}" for one in _ITEMS} | {f"batches/{one}" for one in _BATCHES}
        names |= {f"flush/{one}" for one in CAUSES} | {"bytes/raw", "bytes/sent", "retries"} | counts.keys()
        for name in sorted(names):
            put(PREFIX + name, counts[name])
        put(PREFIX + "backpressure_seconds", round(waited_seconds, 3))

    def summary(self, crawl: str, reason: str, said: Mapping[str, int], spool: Path) -> None:
        """The one line at the end, and the stats of what the server said; counts that differ become the `finish_reason`."""
        counts = self._counts
        spooled = counts["items/spooled"]
        for name, value in said.items():
            self._stats.set_value(f"{PREFIX}server/{name}", value)
        logger.log(
            logging.WARNING if spooled or counts["items/dropped"] else logging.INFO,
            "batching: crawl %s (%s): %d items taken · %d delivered · %d rejected · %d spooled · %d dropped; server: %s%s",
            crawl,
            reason,
            self.enqueued,
            *(counts[f"items/{name}"] for name in ("delivered", "rejected", "spooled", "dropped")),
            " · ".join(f"{said[name]} {name}" for name in FIGURES if name in said) or "did not say",
            f"; the next crawl with the spool {spool.absolute()} sends what is in it, or: scrapy batches send"
            if spooled
            else "",
            extra=self._extra,
        )
        wrong = mismatch(said, spooled + counts["items/rejected"] - self._not_encodable)
        if wrong:
            self._stats.set_value("finish_reason", MISMATCH)
            self._stats.set_value(PREFIX + "finish_reason", reason)
            logger.error(
                "batching: the counts of crawl %s differ: %s\n  see what and where: ingest-server audit %s",
                *(crawl, wrong, shlex.quote(crawl)),
                extra=self._extra,
            )

    def _first(self, *key: object) -> bool:
        if key in self._told:
            return False
        self._told.add(key)
        return True
