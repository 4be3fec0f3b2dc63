"""What became of the items of a batch."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic

# Defaults of type variables came with 3.13: a result says what it holds, and of what items only where that is known.
if sys.version_info >= (3, 13):
    from typing import TypeVar
else:
    from typing_extensions import TypeVar

R = TypeVar("R")
T = TypeVar("T", default=Any)


@dataclass(frozen=True)  # with slots too, BatchResult[int]() raises TypeError: typing writes to what is frozen
class BatchResult(Generic[R, T]):
    """`successful` results and `failed` items with their exceptions, both in the order in which the items came.

    Every item of the batch is in exactly one of the two.
    """

    successful: list[R] = field(default_factory=list)
    failed: list[tuple[T, Exception]] = field(default_factory=list)

    @property
    def total_items(self) -> int:
        """How many items the batch had."""
        return len(self.successful) + len(self.failed)

    @property
    def success_count(self) -> int:
        """How many items have a result."""
        return len(self.successful)

    @property
    def failure_count(self) -> int:
        """How many items have none."""
        return len(self.failed)

    @property
    def success_rate(self) -> float:
        """The share that has a result, 0.0 to 1.0; 1.0 where there was no item."""
        return self.success_count / self.total_items if self.total_items else 1.0


def merged(results: Iterable[BatchResult[R, T]]) -> BatchResult[R, T]:
    """All of them as one, in their order."""
    whole: BatchResult[R, T] = BatchResult()
    for one in results:
        whole.successful.extend(one.successful)
        whole.failed.extend(one.failed)
    return whole
