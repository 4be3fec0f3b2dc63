"""What happens when as much waits for the server as may wait: the spider is held, or the crawl is stopped, never for ever."""

from scrapy_batching.stopping import Stopping
from scrapy_batching.telemetry import Telemetry
from scrapy_batching.water import Water

REASON = "batching_spool_full"
"""The `finish_reason` of a crawl that was stopped here."""

_THEN = {
    "block": "the spider waits until the server takes some",
    "stop": "the crawl is stopped, as BATCHING_WHEN_FULL wants",
    "drop": "further items are dropped, as BATCHING_WHEN_FULL wants",
}


class Full:
    """One crawl's. `then` is BATCHING_WHEN_FULL, `stopping` closes the spider."""

    def __init__(self, water: Water, telemetry: Telemetry, *, then: str, stopping: Stopping) -> None:
        self._water = water
        self._telemetry = telemetry
        self._then = then
        self._stopping = stopping

    def rose(self) -> None:
        """The water has become high."""
        self._telemetry.full(self._water.items, self._water.size, _THEN[self._then])
        if self._then == "stop":
            self._stopping.begin(REASON)
        self.look()

    def parked(self, items: int, size: int, *, in_memory: bool) -> None:
        """So many items are on disk for the next crawl and this one does not try them again; they count on."""
        self._water.park(items, size, in_memory=in_memory)
        self.look()

    def look(self) -> None:
        """Stops a crawl that the gate would hold for ever: what is parked is by itself too much for low water."""
        if self._water.is_stuck and not self._stopping.is_begun:
            self._telemetry.stuck(*self._water.parked)
            self._stopping.begin(REASON)
