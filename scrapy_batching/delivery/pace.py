"""How many batches may be on their way at once: what the server's answers make of it. No clock, no I/O."""


class Pace:
    """Between 1 and `most`: one more with each answer at first, then one more with each full round; half after trouble.

    This is TCP's rule (additive increase, multiplicative decrease, slow start). It needs no measure of what is fast: a full
    server says so (429, 503, 408) or stops answering, and crawls that share one come to equal shares. How long an answer takes
    says less here: the server answers when a batch is in its journal, which a larger body, a cold connection and somebody
    else's disk delay as much as a queue does.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = 1.0
        self._quick_below = float(most)
        self._round = 0
        self.highest = 0
        """The most that were on their way at once."""

    @property
    def now(self) -> int:
        """How many may be on their way."""
        return int(self._limit)

    def begun(self, under_way: int) -> int:
        """One goes out, as the `under_way`th; gives the round that its answer is judged by."""
        self.highest = max(self.highest, under_way)
        return self._round

    def took(self, under_way: int) -> None:
        """An answer came without trouble, while so many were on their way: only a limit that is reached is raised."""
        if under_way >= self.now:
            step = 1.0 if self._limit < self._quick_below else 1.0 / self._limit
            self._limit = min(float(self._most), self._limit + step)

    def slowed(self, begun: int) -> None:
        """An answer asked for less. Those of one round, that is begun before the last cut, cut it once."""
        if begun == self._round:
            self._round += 1
            self._limit = self._quick_below = max(1.0, self._limit / 2)

    def restart(self) -> None:
        """The server was away: begin small, and be quick only up to half of what went well before."""
        self._round += 1
        self._quick_below = max(1.0, self._limit / 2)
        self._limit = 1.0
