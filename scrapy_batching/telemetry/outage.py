"""Which of a server's goings and comings are worth a line: all of them, as long as they are few."""

from collections import deque
from collections.abc import Callable

_MOST = 3
_WITHIN = 300.0


class Outage:
    """Whether the server is away. Of a server that flaps `most` goings in `within` seconds are told, with their comings.

    One that was not told because of that is told as soon as it may be, should the server still be away then.
    """

    def __init__(self, clock: Callable[[], float], *, most: int = _MOST, within: float = _WITHIN) -> None:
        self._clock = clock
        self._within = within
        self._lines: deque[float] = deque(maxlen=most)
        self._since: float | None = None
        self._is_told = False
        self._untold = 0
        self.because = ""
        """Why; empty while it is there."""

    def away(self, reason: str) -> str | None:
        """It took nothing. What a line about it adds to the reason, maybe nothing; None: it is not worth a line."""
        now = self._clock()
        self.because = reason
        is_new = self._since is None
        if self._since is None:
            self._since, self._is_told = now, False
        if self._is_told:
            return None
        if len(self._lines) == self._lines.maxlen and now - self._lines[0] < self._within:
            self._untold += is_new
            return None
        self._lines.append(now)
        self._is_told = True
        untold, self._untold = self._untold - (not is_new), 0
        return f"; {untold} shorter outages since the last such line" if untold > 0 else ""

    def back(self) -> float | None:
        """It took something. For how many seconds it was away; None: nobody was told that it was."""
        if self._since is None:
            return None
        seconds, self._since, self.because = self._clock() - self._since, None, ""
        return seconds if self._is_told else None
