"""The counts of one crawl, and the stats that they become."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from scrapy_batching.batching.growing import CAUSES
from scrapy_batching.telemetry import announcing
from scrapy_batching.telemetry.announcing import Announcer, Signals
from scrapy_batching.telemetry.collector import SafeStats, Stats
from scrapy_batching.telemetry.durations import Durations

PREFIX = "batching/"
PUBLISH_SECONDS = 0.1
"""With many small batches, publishing after each would cost more than the batches."""
FATES = ("delivered", "rejected", "spooled", "dropped", "pending")
"""Where an item that was taken can be: in exactly one of them, whenever the stats are read."""
_ITEMS = ("enqueued", *FATES, "recovered", "altered", "filtered")
_BATCHES = ("closed", "sent", "delivered", "split", "refused", "spooled", "dropped", "recovered")
_NAMES = (
    *(f"items/{one}" for one in _ITEMS),
    *(f"batches/{one}" for one in _BATCHES),
    *(f"flush/{one}" for one in CAUSES),
    *("bytes/raw", "bytes/sent", "retries", "outages", "concurrency/now", "concurrency/max", "signals/skipped"),
)


class Counts:
    """What every fact counts into. `spider` goes with each log line, `signals` are the crawl's."""

    def __init__(
        self,
        stats: Stats,
        *,
        spider: object = None,
        signals: Signals | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stats = SafeStats(stats, spider=spider)
        self._extra = {"spider": spider}
        self._clock = clock
        self._announcer = Announcer(signals, spider=spider)
        self._counts: Counter[str] = Counter()
        self._seconds = {"delivery": Durations(), "request": Durations()}
        self._told: set[object] = set()
        self._pending: Callable[[], int] = int
        self._waited_seconds: Callable[[], float] = float
        self._recovered: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self._publishing: asyncio.TimerHandle | None = None
        self.enqueued = 0
        """Items that the pipeline took: a plain number, for it is counted once for each item."""

    def watch(
        self,
        *,
        pending: Callable[[], int],
        waited_seconds: Callable[[], float],
        recovered: Callable[[], tuple[int, int]],
    ) -> None:
        """Who counts what is not counted here.

        `pending` counts the items that are held now, by looking at who holds them: were it enqueued less the rest, nobody
        would ever see a leak. `recovered`: batches and items that earlier crawls left and this one delivered.
        """
        self._pending = pending
        self._waited_seconds = waited_seconds
        self._recovered = recovered

    @property
    def totals(self) -> dict[str, int]:
        """What the crawl's close tells the server."""
        named = {name: self._counts[f"items/{name}"] for name in ("rejected", "dropped", "spooled")}
        return {"items": self.enqueued, **named}

    def changed(self) -> None:
        """Brings the stats up to date within `PUBLISH_SECONDS`; where no loop runs any more, `publish` is the caller's."""
        if self._publishing is None:
            with suppress(RuntimeError):
                self._publishing = asyncio.get_running_loop().call_later(PUBLISH_SECONDS, self.publish)

    def publish(self) -> None:
        """Brings the stats up to date, all in one go: `enqueued` is the sum of the fates for whoever reads them then.

        To be called between facts: never where an item has left one place and is not counted in the next.
        """
        if self._publishing is not None:
            self._publishing.cancel()
            self._publishing = None
        put, counts = self._stats.set_value, self._counts
        counts["items/enqueued"] = self.enqueued
        counts["items/pending"] = self._pending()
        counts["batches/recovered"], counts["items/recovered"] = self._recovered()
        counts["signals/skipped"] = self._announcer.skipped
        for name in _NAMES:
            put(PREFIX + name, counts[name])
        for name in counts.keys() - _KNOWN:
            put(PREFIX + name, counts[name])
        put(PREFIX + "backpressure_seconds", round(self._waited_seconds(), 3))
        for name, seconds in self._seconds.items():
            put(f"{PREFIX}{name}_seconds/mean", round(seconds.mean, 6))
            put(f"{PREFIX}{name}_seconds/p95", round(seconds.within(0.95), 6))
            put(f"{PREFIX}{name}_seconds/max", round(seconds.most, 6))

    async def heard(self) -> None:
        """Waits a little for the handlers of signals that are still at work."""
        await self._announcer.finish(announcing.MOST_SECONDS)

    def _first(self, *key: object) -> bool:
        if key in self._told:
            return False
        self._told.add(key)
        return True


_KNOWN = frozenset(_NAMES)
