"""Lines gather here until they make a batch. No Scrapy, no clock of its own; where the lines lie is its places' business."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol
from uuid import UUID

from scrapy_batching.names import half_name, uuid7

Cause = Literal["count", "bytes", "age", "idle", "close", "disk"]
CAUSES: tuple[Cause, ...] = ("count", "bytes", "age", "idle", "close", "disk")


@dataclass(frozen=True, slots=True)
class Part:
    """Where the lines of a batch lie: `total` of them, from byte `offset` of the file on."""

    path: Path
    offset: int
    total: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Items for one table that travel together under one name. Closed: nothing is added to it any more."""

    id: UUID
    table: str
    lines: tuple[bytes, ...]
    """The items in memory; none where they lie in a file."""
    size: int
    """Bytes of the body: every line and its LF."""
    first_at: float
    """When its first item came, in seconds of the batcher's clock."""
    cause: Cause
    span: tuple[int, int] | None = None
    """Which items of the batch that was split it holds; None for a whole one."""
    part: Part | None = None
    """Where the items lie; None where they are in memory."""

    def __len__(self) -> int:
        return len(self.lines) if self.part is None else self.part.total

    def body(self) -> bytes:
        """The items as NDJSON, each line ended by LF. Raises OSError if the file cannot be read, or is too short."""
        if self.part is None:
            return b"\n".join(self.lines) + b"\n"
        # Unbuffered: half as many calls of the system, and no copy.
        with self.part.path.open("rb", buffering=0) as file:
            if self.part.offset:
                file.seek(self.part.offset)
            body = file.read(self.size)
        if len(body) != self.size:
            raise OSError(f"{self.part.path} is shorter than it was")
        return body

    def moved(self, path: Path) -> "Batch":
        """The same batch, whose file is called `path` now."""
        assert self.part is not None
        return replace(self, part=replace(self.part, path=path))

    def halves(self) -> tuple["Batch", "Batch"]:
        """The first and the second half, named after this batch and their range, so that a second split names the same.

        Raises ValueError for a batch of a single item, OSError if its file cannot be read.
        """
        if len(self) < 2:
            raise ValueError("a single item cannot be split")
        middle = len(self) // 2
        if self.part is None:
            first = sum(map(len, self.lines[:middle])) + middle
        else:
            body, first = self.body(), 0
            for _ in range(middle):
                first = body.index(b"\n", first) + 1
        return self._half(0, middle, 0, first), self._half(middle, len(self), first, self.size)

    def _half(self, start: int, stop: int, first: int, last: int) -> "Batch":
        part = self.part and Part(self.part.path, self.part.offset + first, stop - start)
        return replace(
            self,
            id=half_name(self.id, start, stop),
            lines=self.lines[start:stop],
            size=last - first,
            span=(start, stop),
            part=part,
        )


class Place(Protocol):
    """Where the lines of one open batch lie."""

    def append(self, line: bytes) -> None:
        """Takes a line. Raises OSError if it cannot; then the line is not there, and those before it are."""

    def end(self) -> Part | None:
        """Nothing more comes. Where the lines lie; None: in memory."""

    def lines(self) -> tuple[bytes, ...]:
        """The lines that are in memory."""


class InMemory(list[bytes]):
    """A place in memory."""

    def end(self) -> None:
        """They lie in no file."""

    def lines(self) -> tuple[bytes, ...]:
        """All of them."""
        return tuple(self)


def in_memory(table: str, id: UUID) -> Place:  # noqa: ARG001, A002 - a place is asked for by both
    """A place in memory for a batch."""
    return InMemory()


@dataclass(slots=True)
class _Open:
    """A batch that still grows."""

    id: UUID
    first_at: float
    place: Place
    total: int = 0
    size: int = 0


class OpenBatches:
    """One growing batch for each table; closes it by count, by bytes, by the age of its first item, or when told to.

    A closed batch holds at most `most_items` items and at most `most_bytes` bytes, unless its one item alone is larger.
    `most_age` is in seconds of `clock`. Lines leave in the order in which they came, each exactly once.
    `place` gives where the lines of a new batch lie. When a place takes no more, its batch is closed as it is, and `spare`
    gives where the lines after it lie.
    """

    def __init__(
        self,
        *,
        most_items: int,
        most_bytes: int,
        most_age: float,
        clock: Callable[[], float],
        name: Callable[[], UUID] = uuid7,
        place: Callable[[str, UUID], Place] = in_memory,
        spare: Callable[[str, UUID], Place] = in_memory,
    ) -> None:
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._most_age = most_age
        self._clock = clock
        self._name = name
        self._place = place
        self._spare = spare
        self._open: dict[str, _Open] = {}

    @property
    def items(self) -> int:
        """How many items wait in batches that are not closed yet."""
        return sum(one.total for one in self._open.values())

    def add(self, table: str, line: bytes) -> tuple[Batch, ...]:
        """Takes one line (without its LF). Gives the batches that this closed: none, one or two."""
        size = len(line) + 1
        one = self._open.get(table)
        closed: tuple[Batch, ...] = ()
        if one is None:
            one = self._new(table, self._place)
        elif one.size + size > self._most_bytes:
            closed = (self._close(table, "bytes"),)
            one = self._new(table, self._place)
        try:
            one.place.append(line)
        except OSError:
            closed = (*closed, *self._cut_off(table))
            one = self._new(table, self._spare)
            one.place.append(line)
        one.total += 1
        one.size += size
        if one.total >= self._most_items:
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

    def _new(self, table: str, place: Callable[[str, UUID], Place]) -> _Open:
        name = self._name()
        one = self._open[table] = _Open(name, self._clock(), place(table, name))
        return one

    def _cut_off(self, table: str) -> tuple[Batch, ...]:
        """What a place that takes no more has already, if that is anything."""
        if self._open[table].total:
            return (self._close(table, "disk"),)
        self._open.pop(table).place.end()
        return ()

    def _close(self, table: str, cause: Cause) -> Batch:
        one = self._open.pop(table)
        part = one.place.end()
        return Batch(one.id, table, one.place.lines(), one.size, one.first_at, cause, part=part)
