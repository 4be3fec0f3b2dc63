"""How long something took, over a whole crawl, in a few numbers."""

import math
from collections import Counter

_STEP = math.log(1.1)
_LEAST = 1e-6


class Durations:
    """Mean and maximum are exact; a percentile is at most 10 % too high. Memory does not grow with how many are added."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0.0
        self._most = 0.0
        self._steps: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """One more."""
        self._count += 1
        self._sum += seconds
        self._most = max(self._most, seconds)
        self._steps[math.ceil(math.log(max(seconds, _LEAST)) / _STEP)] += 1

    @property
    def mean(self) -> float:
        """In seconds; 0 if there was none."""
        return self._sum / self._count if self._count else 0.0

    @property
    def most(self) -> float:
        """In seconds; 0 if there was none."""
        return self._most

    def within(self, share: float) -> float:
        """In how many seconds this share of them was done; 0 if there was none."""
        wanted = share * self._count
        for step in sorted(self._steps):
            wanted -= self._steps[step]
            if wanted <= 0:
                return min(math.exp(step * _STEP), self._most)
        return self._most
