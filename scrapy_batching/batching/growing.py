"""The core: items gather here until they make a batch, each in the one of its key. No clock of its own, no waiting.

The pipeline's open batches and the public `Batcher` both stand on it, so that count, size and age are decided in one place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

Cause = Literal["count", "bytes", "age", "idle", "close", "disk"]
CAUSES: tuple[Cause, ...] = ("count", "bytes", "age", "idle", "close", "disk")

K = TypeVar("K")
T = TypeVar("T")
B = TypeVar("B")
T_contra = TypeVar("T_contra", contravariant=True)
B_co = TypeVar("B_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Growth:
    """How a batch grew: `total` items of `size` bytes, the first of them at `first_at`, closed by `cause`."""

    total: int
    size: int
    first_at: float
    cause: Cause


class Place(Protocol[T_contra, B_co]):
    """Where the items of one open batch lie."""

    @property
    def append(self) -> Callable[[T_contra], None]:
        """Takes an item. Raises OSError if it cannot; then the item is not there, and those before it are."""

    def close(self, growth: Growth) -> B_co:
        """Nothing more comes: the batch."""

    def discard(self) -> None:
        """Nothing came."""


class InFile(Protocol):
    """A place in a file that is open, where lines may be written without asking: whoever does counts them."""

    descriptor: int
    """Opened for appending; below 0: not open now."""
    size: int
    total: int

    def cut_off(self) -> None:
        """What was written and not counted goes again."""


@dataclass(slots=True)
class Growing(Generic[T, B]):
    """A batch that still grows."""

    first_at: float
    place: Place[T, B]
    append: Callable[[T], None]
    """The place's, taken once: it is called for every item."""
    total: int = 0
    size: int = 0
    file: InFile | None = None
    """Where its lines may be written without asking; what is written there is counted here as well."""


class GrowingBatches(Generic[K, T, B]):
    """One growing batch for each key; closes it by count, by bytes, by the age of its first item, or when told to.

    A closed batch holds at most `most_items` items and at most `most_bytes` bytes, unless its one item alone is larger.
    `most_age` is in seconds of `clock`. Items leave in the order in which they came, each exactly once.
    `place` gives where the items of a new batch lie. When a place takes no more, its batch is closed as it is, and `spare`
    gives where the items after it lie.
    """

    def __init__(
        self,
        *,
        most_items: int,
        most_bytes: int,
        most_age: float,
        clock: Callable[[], float],
        place: Callable[[K], Place[T, B]],
        spare: Callable[[K], Place[T, B]],
    ) -> None:
        self.most_items = most_items
        self.most_bytes = most_bytes
        self._most_age = most_age
        self._clock = clock
        self._place = place
        self._spare = spare
        self._open: dict[K, Growing[T, B]] = {}
        self.growing: Callable[[K | None], Growing[T, B] | None] = self._open.get  # type: ignore[assignment]
        """The batch of a key that grows now; None where there is none."""

    @property
    def items(self) -> int:
        """How many items wait in batches that are not closed yet."""
        return sum(one.total for one in self._open.values())

    def add(self, key: K, item: T, size: int) -> tuple[B, ...]:
        """Takes one item of `size` bytes. Gives the batches that this closed: none, one or two."""
        one = self._open.get(key)
        if one is None:
            one = self._new(key, self._place)
        elif one.size + size > self.most_bytes:
            closed = self._close(key, "bytes")
            return (closed, *self.add(key, item, size))
        try:
            one.append(item)
        except OSError:
            return (*self._cut_off(key), *self._added(key, self._new(key, self._spare), item, size))
        # As in `_added`, without its call: this is done for every item.
        one.total = total = one.total + 1
        one.size = grown = one.size + size
        if total < self.most_items and grown < self.most_bytes:
            return ()
        return self._closed_full(key, one)

    def due_in(self) -> float | None:
        """Seconds until the oldest first item comes of age (0 or less: it has); None if nothing is open."""
        if not self._open:
            return None
        return min(one.first_at for one in self._open.values()) + self._most_age - self._clock()

    def close_due(self) -> tuple[B, ...]:
        """Closes the batches whose first item came of age."""
        born_by = self._clock() - self._most_age
        return tuple(self._close(key, "age") for key, one in tuple(self._open.items()) if one.first_at <= born_by)

    def close_all(self, cause: Cause) -> tuple[B, ...]:
        """Closes whatever is open."""
        return tuple(self._close(key, cause) for key in tuple(self._open))

    def _new(self, key: K, place: Callable[[K], Place[T, B]]) -> Growing[T, B]:
        lies = place(key)
        one = Growing(self._clock(), lies, lies.append, file=getattr(lies, "file", None))
        self._open[key] = one
        return one

    def _added(self, key: K, one: Growing[T, B], item: T, size: int) -> tuple[B, ...]:
        one.append(item)
        one.total += 1
        one.size += size
        return self._closed_full(key, one)

    def _closed_full(self, key: K, one: Growing[T, B]) -> tuple[B, ...]:
        if one.total >= self.most_items:
            return (self._close(key, "count"),)
        return (self._close(key, "bytes"),) if one.size >= self.most_bytes else ()

    def _cut_off(self, key: K) -> tuple[B, ...]:
        """What a place that takes no more has already, if that is anything."""
        if self._open[key].total:
            return (self._close(key, "disk"),)
        self._open.pop(key).place.discard()
        return ()

    def _close(self, key: K, cause: Cause) -> B:
        one = self._open.pop(key)
        return one.place.close(Growth(one.total, one.size, one.first_at, cause))
