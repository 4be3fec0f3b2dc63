"""Lines gather here until they make a batch. No I/O, no Scrapy, no clock of its own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from scrapy_batching.names import half_name, uuid7

Cause = Literal["count", "bytes", "age", "idle", "close"]
CAUSES: tuple[Cause, ...] = ("count", "bytes", "age", "idle", "close")


@dataclass(frozen=True, slots=True)
class Batch:
    """Items for one table that travel together under one name. Closed: nothing is added to it any more."""

    id: UUID
    table: str
    lines: tuple[bytes, ...]
    size: int
    """Bytes of the body: every line and its LF."""
    first_at: float
    """When its first item came, in seconds of the batcher's clock."""
    cause: Cause
    span: tuple[int, int] | None = None
    """Which items of the batch that was split it holds; None for a whole one."""

    def __len__(self) -> int:
        return len(self.lines)

    def body(self) -> bytes:
        """The items as NDJSON, each line ended by LF."""
        return b"\n".join(self.lines) + b"\n"

    def halves(self) -> tuple["Batch", "Batch"]:
        """The first and the second half, named after this batch and their range, so that a second split names the same.

        Raises ValueError for a batch of a single item.
        """
        if len(self) < 2:
            raise ValueError("a single item cannot be split")
        middle = len(self) // 2
        return self._part(0, middle), self._part(middle, len(self))

    def _part(self, start: int, stop: int) -> "Batch":
        lines = self.lines[start:stop]
        size = sum(map(len, lines)) + len(lines)
        return Batch(half_name(self.id, start, stop), self.table, lines, size, self.first_at, self.cause, (start, stop))


@dataclass(slots=True)
class _Open:
    """A batch that still grows."""

    first_at: float
    lines: list[bytes] = field(default_factory=list)
    size: int = 0


class OpenBatches:
    """One growing batch for each table; closes it by count, by bytes, by the age of its first item, or when told to.

    A closed batch holds at most `most_items` items and at most `most_bytes` bytes, unless its one item alone is larger.
    `most_age` is in seconds of `clock`. Lines leave in the order in which they came, each exactly once.
    """

    def __init__(
        self,
        *,
        most_items: int,
        most_bytes: int,
        most_age: float,
        clock: Callable[[], float],
        name: Callable[[], UUID] = uuid7,
    ) -> None:
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._most_age = most_age
        self._clock = clock
        self._name = name
        self._open: dict[str, _Open] = {}

    @property
    def items(self) -> int:
        """How many items wait in batches that are not closed yet."""
        return sum(len(one.lines) for one in self._open.values())

    def add(self, table: str, line: bytes) -> tuple[Batch, ...]:
        """Takes one line (without its LF). Gives the batches that this closed: none, one or two."""
        size = len(line) + 1
        one = self._open.get(table)
        if one is None:
            one = self._open[table] = _Open(self._clock())
            closed: tuple[Batch, ...] = ()
        elif one.size + size > self._most_bytes:
            closed = (self._close(table, "bytes"),)
            one = self._open[table] = _Open(self._clock())
        else:
            closed = ()
        one.lines.append(line)
        one.size += size
        if len(one.lines) >= self._most_items:
            return (*closed, self._close(table, "count"))
        if one.size >= self._most_bytes:
            return (*closed, self._close(table, "bytes"))
        return closed

    def due_in(self) -> float | None:
        """Seconds until the oldest first item comes of age (0 or less: it has); None if nothing is open."""
        if not self._open:
            return None
        return min(one.first_at for one in self._open.values()) + self._most_age - self._clock()

    def close_due(self) -> tuple[Batch, ...]:
        """Closes the batches whose first item came of age."""
        born_by = self._clock() - self._most_age
        return tuple(self._close(table, "age") for table, one in tuple(self._open.items()) if one.first_at <= born_by)

    def close_all(self, cause: Cause) -> tuple[Batch, ...]:
        """Closes whatever is open."""
        return tuple(self._close(table, cause) for table in tuple(self._open))

    def _close(self, table: str, cause: Cause) -> Batch:
        one = self._open.pop(table)
        return Batch(self._name(), table, tuple(one.lines), one.size, one.first_at, cause)
