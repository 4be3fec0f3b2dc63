"""The pipeline's batch: items for one table, as lines in memory or in a file."""

from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from scrapy_batching.batching.growing import Cause
from scrapy_batching.names import half_name


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
