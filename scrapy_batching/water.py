"""How much of a crawl waits to be delivered, and whether the spider has to wait for it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary


@dataclass(slots=True)
class Level:
    """How much is there, how much of it stays, and how much may be."""

    items: int = 0
    size: int = 0
    high_items: float = float("inf")
    high_size: float = float("inf")
    parked_items: int = 0
    parked_size: int = 0

    def is_high(self) -> bool:
        """Whether it is as much as may be, in items or in bytes."""
        return self.items >= self.high_items or self.size >= self.high_size

    def is_low(self, share: float) -> bool:
        """Whether it is at most this share of that, in both."""
        return self.items <= self.high_items * share and self.size <= self.high_size * share

    def is_low_at_best(self, share: float) -> bool:
        """Whether it would be low if everything were gone but what stays."""
        return self.parked_items <= self.high_items * share and self.parked_size <= self.high_size * share


class Water:
    """Counts the items and bytes that the pipeline took and that the server does not have yet.

    From high water (`limit`) on it is high, until items and bytes are both below low water. What had to stay in memory is
    counted once more, with limits of its own. What is parked, on disk for the next crawl, counts until this one's end. One
    for each crawl, shared by its pipeline and its gate; before `limit` is
    called it is never high.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all = Level()
        self._memory = Level()
        self._share = 0.5
        self._holds = True
        self._is_low = asyncio.Event()
        self._is_low.set()
        self._waiting = 0
        self._since = 0.0
        self._seconds = 0.0

    @classmethod
    def of(cls, crawler: object) -> "Water":
        """The one of this crawl, made by whoever asks first."""
        return _BY_CRAWLER.setdefault(crawler, cls())

    def limit(self, items: int, size: int, *, low: float = 0.5, holds: bool = True) -> None:
        """Sets high water in items and in bytes, and low water as a share of it. `holds` False: the spider never waits."""
        self._all.high_items, self._all.high_size = items, size
        self._share = low
        self._holds = holds

    def limit_memory(self, items: int, size: int) -> None:
        """Sets high water of what is in memory though it should be on disk."""
        self._memory.high_items, self._memory.high_size = items, size

    @property
    def items(self) -> int:
        """How many items wait."""
        return self._all.items

    @property
    def size(self) -> int:
        """How many bytes wait."""
        return self._all.size

    @property
    def moving(self) -> int:
        """How many items wait for this crawl to deliver them."""
        return self._all.items - self._all.parked_items

    @property
    def parked(self) -> tuple[int, int]:
        """How many items are parked, and how many bytes."""
        return self._all.parked_items, self._all.parked_size

    @property
    def is_stuck(self) -> bool:
        """Whether the spider would have to wait for ever: what is parked is as much as may wait."""
        return self.is_high and not self._all.is_low_at_best(self._share)

    @property
    def is_high(self) -> bool:
        """Whether the spider has to wait."""
        return self._holds and not self._is_low.is_set()

    @property
    def is_full(self) -> bool:
        """Whether there is no room for one more item at this moment."""
        return self._all.is_high() or self._memory.is_high()

    @property
    def waited_seconds(self) -> float:
        """For how long somebody waited; two who wait at once count once."""
        return self._seconds + (self._clock() - self._since if self._waiting else 0.0)

    @property
    def levels(self) -> tuple[Level, Level]:
        """What waits, and what of it is in memory though it should be on disk.

        For who takes most items: they add to the first themselves, and ask `has_risen` where it or the second may be high.
        """
        return self._all, self._memory

    def has_risen(self) -> bool:
        """Whether the water has become high."""
        return (self._all.is_high() or self._memory.is_high()) and self._rose()

    def rise(self, size: int) -> bool:
        """One more item of `size` bytes waits. Whether the water has become high by that."""
        # Without calls of its own: this is done for every item.
        level, memory = self._all, self._memory
        level.items = items = level.items + 1
        level.size = total = level.size + size
        if items < level.high_items and total < level.high_size and not memory.items:
            return False
        return self.has_risen()

    def rise_in_memory(self, size: int) -> None:
        """The next item to `rise` is one that is in memory though it should be on disk."""
        self._memory.items += 1
        self._memory.size += size

    def fall(self, items: int, size: int, *, in_memory: bool = False) -> None:
        """So many items and bytes wait no longer; `in_memory`: they were counted there too."""
        for level in (self._all, self._memory) if in_memory else (self._all,):
            level.items -= items
            level.size -= size
        if self._all.is_low(self._share) and self._memory.is_low(self._share):
            self._is_low.set()

    def park(self, items: int, size: int, *, in_memory: bool = False) -> None:
        """So many of those that wait are on disk now, and this crawl does not try them again."""
        self._all.parked_items += items
        self._all.parked_size += size
        if in_memory:
            self._memory.items -= items
            self._memory.size -= size
            self.fall(0, 0)

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

    def _rose(self) -> bool:
        was_low = self._is_low.is_set()
        self._is_low.clear()
        return was_low


# Values must not hold their key, or no crawler would ever be forgotten.
_BY_CRAWLER: WeakKeyDictionary[object, Water] = WeakKeyDictionary()
