"""One call of a batcher's `process`, and what its answer says of each item."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TypeVar

from scrapy_batching.batching.result import BatchResult
from scrapy_batching.errors import BatchSizeMismatch, ItemCancelled

T = TypeVar("T")
R = TypeVar("R")

Process = Callable[[list[T]], Awaitable[Sequence[R | BaseException]] | Sequence[R | BaseException]]
"""Is given the items of a batch, and returns one outcome for each, in their order; an exception in the place of an item
means that the item failed (as `asyncio.gather(..., return_exceptions=True)` gives them). Async or not."""


class _Call:
    """A call of `process` for `asker`, which is None when the call is over."""

    __slots__ = ("asker",)

    def __init__(self, asker: object) -> None:
        self.asker: object | None = asker


_CALLS: ContextVar[tuple[_Call, ...]] = ContextVar("scrapy_batching calls of process", default=())
"""Those within which this runs. A task has its maker's; a call that is over means nothing in it any more."""


def is_within(asker: object) -> bool:
    """Whether this runs within a call of `process` for `asker`, in its own task or in one that it made."""
    return any(call.asker is asker for call in _CALLS.get())


async def ask(process: Process[T, R], items: Sequence[T], *, asker: object) -> BatchResult[R, T]:
    """What became of each item: where `process` raises, each failed with that.

    An answer that does not fit the items fails each of them with BatchSizeMismatch. CancelledError passes through.
    """
    call = _Call(asker)
    _CALLS.set((*(one for one in _CALLS.get() if one.asker is not None), call))
    try:
        return await _asked(process, items)
    finally:
        call.asker = None


async def _asked(process: Process[T, R], items: Sequence[T]) -> BatchResult[R, T]:
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
