"""How fast what waits is settled: what a refusal's Retry-After is made of."""

import math
from collections import deque
from collections.abc import Callable

_WINDOW_SECONDS = 30.0


class DrainRate:
    """How many bytes a second were settled lately, while there was something to settle."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._settled: deque[tuple[float, float, int]] = deque()
        self._seconds = 0.0
        self._bytes = 0
        self._last = -math.inf

    def drained(self, size: int, *, since: float) -> None:
        """So many bytes were settled now, after work that began at `since`. Time in which nobody worked is not counted."""
        now = self.clock()
        seconds = now - max(since, self._last)
        self._last = now
        self._settled.append((now, seconds, size))
        self._seconds += seconds
        self._bytes += size
        self._forget(now)

    @property
    def bytes_per_second(self) -> float:
        """Over the last 30 seconds; 0 where nothing was settled."""
        self._forget(self.clock())
        return self._bytes / max(0.001, self._seconds) if self._settled else 0.0

    @property
    def remembered(self) -> int:
        """How many batches of these seconds it keeps in mind, whether or not anybody asks for the rate."""
        return len(self._settled)

    def _forget(self, now: float) -> None:
        while self._settled and self._settled[0][0] < now - _WINDOW_SECONDS:
            _, seconds, size = self._settled.popleft()
            self._seconds -= seconds
            self._bytes -= size
