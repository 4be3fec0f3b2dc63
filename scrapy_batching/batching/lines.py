"""The pipeline's open batches: one for each table, of encoded lines. Where the lines lie is their places' business."""

from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from scrapy_batching.batching.batch import Batch, Part
from scrapy_batching.batching.growing import GrowingBatches, Growth, InFile
from scrapy_batching.names import uuid7


class Lines(Protocol):
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


def in_memory(table: str, id: UUID) -> Lines:  # noqa: ARG001, A002 - a place is asked for by both
    """A place in memory for a batch."""
    return InMemory()


class _Named:
    """The lines of one batch, which has its name from the beginning: so has its file."""

    __slots__ = ("_id", "_lines", "_table", "append", "file")

    def __init__(self, table: str, id: UUID, lines: Lines) -> None:  # noqa: A002
        self._table = table
        self._id = id
        self._lines = lines
        # Taken once: it is called for every item.
        self.append = lines.append
        self.file: InFile | None = getattr(lines, "file", None)

    def close(self, growth: Growth) -> Batch:
        part = self._lines.end()
        return Batch(self._id, self._table, self._lines.lines(), growth.size, growth.first_at, growth.cause, part=part)

    def discard(self) -> None:
        self._lines.end()


class OpenBatches(GrowingBatches[str, bytes, Batch]):
    """One growing batch for each table, named when it begins; `place` and `spare` give where the lines of a new one lie.

    Lines are added without their LF; it counts in their size.
    """

    def __init__(
        self,
        *,
        most_items: int,
        most_bytes: int,
        most_age: float,
        clock: Callable[[], float],
        name: Callable[[], UUID] = uuid7,
        place: Callable[[str, UUID], Lines] = in_memory,
        spare: Callable[[str, UUID], Lines] = in_memory,
    ) -> None:
        def named(table: str, place: Callable[[str, UUID], Lines]) -> _Named:
            id = name()  # noqa: A001
            return _Named(table, id, place(table, id))

        super().__init__(
            most_items=most_items,
            most_bytes=most_bytes,
            most_age=most_age,
            clock=clock,
            place=lambda table: named(table, place),
            spare=lambda table: named(table, spare),
        )
