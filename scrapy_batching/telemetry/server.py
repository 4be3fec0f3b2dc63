"""What is said of the server as a crawl meets it: answers, outages, tables that take nothing."""

import logging

from scrapy_batching.saying import logger_of
from scrapy_batching.telemetry.counts import Counts
from scrapy_batching.telemetry.outage import Outage

logger = logger_of(__name__)


class ServerFacts(Counts):
    """Facts about the wire and the server at its other end."""

    _outage: Outage | None = None

    @property
    def _away(self) -> Outage:
        if self._outage is None:
            self._outage = Outage(self._clock)
        return self._outage

    def sent(self, size: int) -> None:
        """A body went out."""
        self._counts["batches/sent"] += 1
        self._counts["bytes/sent"] += size

    def answered(self, status: int) -> None:
        """An answer came."""
        self._counts[f"status/{status}"] += 1

    def took(self, seconds: float) -> None:
        """A batch was sent, and so long after it there was an answer."""
        self._seconds["request"].add(seconds)

    def again(self, reason: str) -> None:  # noqa: ARG002 - who is told of leftovers shows it
        """A try has to be repeated."""
        self._counts["retries"] += 1

    def under_way(self, limit: int, highest: int) -> None:
        """So many batches may be on their way now; and the most that were."""
        self._counts["concurrency/now"] = limit
        self._counts["concurrency/max"] = highest

    def unavailable(self, reason: str, *, is_told: bool = False, remedy: str = "") -> None:
        """The server takes nothing, and still nothing with each further call; the first of a few in a row is worth a line."""
        self._counts["outages"] += not self._away.because
        more = self._away.away(reason)
        if more is not None:
            known = "it takes batches again by itself" if is_told else ""
            todo = remedy or known or "if it does not run: ingest-server run; if it runs elsewhere: BATCHING_URL"
            logger.warning(
                "batching: the server takes nothing (%s%s); batches wait. %s",
                reason,
                more,
                todo[0].upper() + todo[1:],
                extra=self._extra,
            )

    def available(self) -> None:
        """The server took something again."""
        seconds = self._away.back()
        if seconds is not None:
            logger.info("batching: the server takes batches again after %.1f s", seconds, extra=self._extra)

    def dislikes(self, table: str, reason: str) -> None:
        """Something between us and the server does not let one batch through; the first time is worth a warning."""
        logger.log(
            logging.WARNING if self._first("dislikes", table) else logging.DEBUG,
            "batching: a batch for %s does not get through (%s); it is tried again, and others go on. Further ones for this"
            " table are logged as DEBUG",
            *(table, reason),
            extra=self._extra,
        )

    def falls_back(self, coding: str, other: str) -> None:
        """The server takes no bodies in one coding, and gets them in another."""
        logger.warning(
            "batching: the server takes no %s bodies (415); they go %s for the rest of this crawl. To try no other first:"
            " BATCHING_COMPRESSION = '%s'",
            *(
                coding,
                "uncompressed" if other == "identity" else f"as {other}",
                "off" if other == "identity" else other,
            ),
            extra=self._extra,
        )

    def table_waits(self, table: str, reason: str) -> None:
        """The server takes nothing for one table; the first time is worth a warning."""
        logger.log(
            logging.WARNING if self._first("table waits", table) else logging.DEBUG,
            "batching: the server takes nothing for %s (%s); its batches wait, and those of other tables go on",
            *(table, reason),
            extra=self._extra,
        )

    def table_works(self, table: str) -> None:
        """It takes them again."""
        logger.log(
            logging.INFO if self._first("table works", table) else logging.DEBUG,
            "batching: the server takes batches for %s again",
            table,
            extra=self._extra,
        )
