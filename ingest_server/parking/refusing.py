"""Whether a table refuses nearly everything for one reason: then going on would bury a whole crawl.

The window of a table holds its newest batches: as few as have 1,000 items, and three at least. A table refuses nearly
everything where at least 95 % of the window's items were refused with one code and column. The batch that makes it so is
the first that is not buried.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from ingest_server.model import Refusal

LEAST_ITEMS = 1_000
LEAST_BATCHES = 3
LEAST_SHARE = 0.95

Reason = tuple[str, str | None]
"""Code and column."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """So many of the newest items were refused for one reason."""

    reason: Reason
    refused: int
    items: int


class Window:
    """The outcomes of one table's newest batches."""

    def __init__(self) -> None:
        self._batches: OrderedDict[tuple[str, UUID], tuple[int, Counter[Reason]]] = OrderedDict()
        self._items = 0

    def add(self, name: tuple[str, UUID], items: int, refusals: Iterable[Refusal]) -> Verdict | None:
        """The outcome of the table's newest batch; a verdict where it must not be buried, and then it is not kept here.

        A batch that comes again, because its transaction failed, takes its own place.
        """
        self._forget(name)
        reasons = Counter((refusal.code, refusal.column) for refusal in refusals)
        self._batches[name] = items, reasons
        self._items += items
        while len(self._batches) > LEAST_BATCHES:
            oldest, (size, _) = next(iter(self._batches.items()))
            if self._items - size < LEAST_ITEMS:
                break
            self._forget(oldest)
        verdict = self._verdict(reasons)
        if verdict is not None:
            self._forget(name)
        return verdict

    def _verdict(self, newest: Counter[Reason]) -> Verdict | None:
        if self._items < LEAST_ITEMS or len(self._batches) < LEAST_BATCHES:
            return None
        for reason in newest:  # what the newest batch does not have it cannot make too much
            refused = sum(reasons[reason] for _, reasons in self._batches.values())
            if refused >= LEAST_SHARE * self._items:
                return Verdict(reason, refused, self._items)
        return None

    def _forget(self, name: tuple[str, UUID]) -> None:
        size, _ = self._batches.pop(name, (0, None))
        self._items -= size
