"""How much a second: a budget that may go into debt by one batch, so that a large one goes through too, and is paid for."""

from collections.abc import Callable

from ingest_server.tokens.grant import Grant


class _Meter:
    """One rate. Up to a second's worth is saved up; what was taken beyond that is owed."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._level = rate
        self._at = clock()

    def seconds(self) -> float:
        """Until the debt is paid; 0 where there is none."""
        self._fill()
        return max(0.0, -self._level / self._rate)

    def take(self, count: float) -> None:
        """Take so much, or with a minus give it back."""
        self._fill()
        self._level = min(self._rate, self._level - count)

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self._rate, self._level + (now - self._at) * self._rate)
        self._at = now


class Budget:
    """What one owner may send. The average over time is the rate, whatever the size of the batches."""

    def __init__(
        self, items_per_second: float | None, bytes_per_second: float | None, clock: Callable[[], float]
    ) -> None:
        self._items = None if items_per_second is None else _Meter(items_per_second, clock)
        self._bytes = None if bytes_per_second is None else _Meter(bytes_per_second, clock)

    @property
    def seconds(self) -> float:
        """How long to wait before the next batch; 0: not at all."""
        return max((meter.seconds() for meter in (self._items, self._bytes) if meter is not None), default=0.0)

    def take(self, items: int, size: int) -> None:
        """A batch of so many items and decoded bytes is taken in, or with a minus was not kept after all."""
        for meter, count in ((self._items, items), (self._bytes, size)):
            if meter is not None:
                meter.take(count)


class Budgets:
    """A budget for every owner; all tokens of one name share it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._budgets: dict[str, tuple[tuple[float | None, float | None], Budget]] = {}

    def of(self, grant: Grant) -> Budget:
        """The owner's budget; a new one once its rates were changed."""
        rates = (grant.items_per_second, grant.bytes_per_second)
        known = self._budgets.get(grant.owner)
        if known is None or known[0] != rates:
            known = self._budgets[grant.owner] = (rates, Budget(*rates, self._clock))
        return known[1]
