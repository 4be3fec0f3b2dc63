"""A client for tests: its pauses take no time, and what it was told is written down."""

from collections import Counter
from typing import Any

from scrapy_batching.wire.client import Client
from scrapy_batching.wire.way import Way


class Notes:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.bodies: list[int] = []
        self.reasons: list[str] = []
        self.told: list[bool] = []
        self.remedies: list[str] = []
        self.fallbacks: list[tuple[str, str]] = []
        self.taken = 0

    def took(self, seconds: float) -> None:
        pass

    def answered(self, status: int) -> None:
        self.statuses[status] += 1

    def sent(self, size: int) -> None:
        self.bodies.append(size)

    def again(self, reason: str) -> None:
        self.reasons.append(reason)

    def unavailable(self, reason: str, *, is_told: bool = False, remedy: str = "") -> None:
        self.told.append(is_told)
        self.remedies.append(remedy)

    def falls_back(self, coding: str, other: str) -> None:
        self.fallbacks.append((coding, other))

    def available(self) -> None:
        self.taken += 1


class Bench:
    """A client whose pauses take no time and are written down."""

    def __init__(self, url: str, **way: Any) -> None:
        self.notes = Notes()
        self.pauses: list[float] = []
        self.now = 0.0
        self.way = Way(**{"url": url, "crawl": "a crawl/1", "compression": "off"} | way)
        self.client = Client(self.way, self.notes, pause=self.pause, jitter=lambda most: most, clock=lambda: self.now)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
