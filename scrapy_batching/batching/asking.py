"""One call of a batcher's `process`, and what its answer says of each item."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from scrapy_batching.batching.result import BatchResult
from scrapy_batching.errors import BatchSizeMismatch, ItemCancelled

T = TypeVar("T")
R = TypeVar("R")

Process = Callable[[list[T]], Awaitable[Sequence[R | BaseException]] | Sequence[R | BaseException]]
"""Is given the items of a batch, and returns one outcome for each, in their order; an exception in the place of an item
means that the item failed (as `asyncio.gather(..., return_exceptions=True)` gives them). Async or not."""


async def ask(process: Process[T, R], items: Sequence[T]) -> BatchResult[R, T]:
    """What became of each item: where `process` raises, each failed with that.

    An answer that does not fit the items fails each of them with BatchSizeMismatch. CancelledError passes through.
    """
    try:
        answer = process(list(items))
        outcomes: object = await answer if inspect.isawaitable(answer) else answer
    except Exception as error:
        return _failed(items, error)
    # A dict or a set has no order of the items, and a string is nobody's list of results.
    if not isinstance(outcomes, Sequence) or isinstance(outcomes, str | bytes | bytearray):
        return _failed(items, BatchSizeMismatch(len(items), type(outcomes).__name__))
    if len(outcomes) != len(items):
        return _failed(items, BatchSizeMismatch(len(items), len(outcomes)))
    result: BatchResult[R, T] = BatchResult()
    for item, outcome in zip(items, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            result.failed.append((item, _as_exception(outcome)))
        else:
            result.successful.append(outcome)
    return result


def _failed(items: Sequence[T], error: Exception) -> BatchResult[R, T]:
    return BatchResult([], [(item, error) for item in items])


def _as_exception(error: BaseException) -> Exception:
    """Whoever raises a failure again must not cancel themselves with it."""
    if isinstance(error, Exception):
        return error
    cancelled = ItemCancelled()
    cancelled.__cause__ = error
    return cancelled
