"""How much of a crawl waits in memory, and whether the spider has to wait for it."""

import asyncio
import time
from collections.abc import Callable
from weakref import WeakKeyDictionary


class Water:
    """Counts the items and bytes that the pipeline took and that nobody else has yet.

    Above high water (`limit`) it is high, until items and bytes are both below the half of it. One for each crawl,
    shared by its pipeline and its gate; before `limit` is called it is never high.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._items = 0
        self._size = 0
        self._high_items: float = float("inf")
        self._high_size: float = float("inf")
        self._is_low = asyncio.Event()
        self._is_low.set()
        self._waiting = 0
        self._since = 0.0
        self._seconds = 0.0

    @classmethod
    def of(cls, crawler: object) -> "Water":
        """The one of this crawl, made by whoever asks first."""
        return _BY_CRAWLER.setdefault(crawler, cls())

    def limit(self, items: int, size: int) -> None:
        """Sets high water in items and in bytes."""
        self._high_items = items
        self._high_size = size

    @property
    def items(self) -> int:
        """How many items wait."""
        return self._items

    @property
    def is_high(self) -> bool:
        """Whether the spider has to wait."""
        return not self._is_low.is_set()

    @property
    def waited_seconds(self) -> float:
        """For how long somebody waited; two who wait at once count once."""
        return self._seconds + (self._clock() - self._since if self._waiting else 0.0)

    def rise(self, size: int) -> None:
        """One more item of `size` bytes waits."""
        self._items += 1
        self._size += size
        if self._items >= self._high_items or self._size >= self._high_size:
            self._is_low.clear()

    def fall(self, items: int, size: int) -> None:
        """So many items and bytes wait no longer."""
        self._items -= items
        self._size -= size
        if self._items * 2 <= self._high_items and self._size * 2 <= self._high_size:
            self._is_low.set()

    async def low(self) -> None:
        """Returns when the water is low, or when `release` was called."""
        if not self._waiting:
            self._since = self._clock()
        self._waiting += 1
        try:
            await self._is_low.wait()
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._seconds += self._clock() - self._since

    def release(self) -> None:
        """Lets everybody go who waits now, whatever the water."""
        self._is_low.set()


# Values must not hold their key, or no crawler would ever be forgotten.
_BY_CRAWLER: WeakKeyDictionary[object, Water] = WeakKeyDictionary()
