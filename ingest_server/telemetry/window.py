"""A share over the last minutes."""

from collections import deque
from collections.abc import Callable


class Window:
    """How many of the items of the last so many seconds failed; kept by the second, so its size is bounded."""

    def __init__(self, clock: Callable[[], float], seconds: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._parts: deque[list[int]] = deque()  # second, total, failed
        self._total = self._failed = 0

    def add(self, total: int, failed: int) -> None:
        """So many items are settled, so many of them as dead letters."""
        second = int(self._clock())
        if not self._parts or self._parts[-1][0] != second:
            self._parts.append([second, 0, 0])
        self._parts[-1][1] += total
        self._parts[-1][2] += failed
        self._total += total
        self._failed += failed
        self._forget()

    @property
    def share(self) -> float:
        """0 to 1; 0 where nothing was settled."""
        self._forget()
        return self._failed / self._total if self._total else 0.0

    def _forget(self) -> None:
        until = self._clock() - self._seconds
        while self._parts and self._parts[0][0] < until:
            _, total, failed = self._parts.popleft()
            self._total -= total
            self._failed -= failed
