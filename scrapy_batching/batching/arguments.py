"""What a `Batcher` is made with and given: refused at once where it cannot be, with its name and what to write."""

import math
from collections.abc import Iterable
from typing import Any

from scrapy_batching.batching.result import BatchResult


def require_usable(
    process: Any, batch_size: Any, max_wait_time: Any, auto_flush: Any, *, concurrency: Any, on_result: Any
) -> None:
    """Raises TypeError for an argument of another type, ValueError for a number that cannot be."""
    for name, value, is_type, remedy in (
        ("process", process, callable(process), "a function that takes a list"),
        ("batch_size", batch_size, _is_whole(batch_size), "a whole number, at least 1"),
        (
            "max_wait_time",
            max_wait_time,
            _is_number(max_wait_time),
            "a number of seconds; auto_flush=False for no timer",
        ),
        ("auto_flush", auto_flush, isinstance(auto_flush, bool), "True or False"),
        (
            "concurrency",
            concurrency,
            concurrency is None or _is_whole(concurrency),
            "a whole number, or None for no limit",
        ),
        ("on_result", on_result, on_result is None or callable(on_result), "a function that takes a result, or None"),
    ):
        if not is_type:
            raise TypeError(f"{name} = {value!r}: write {remedy}")
    for name, value, is_good, remedy in (
        ("batch_size", batch_size, batch_size >= 1, "at least 1"),
        (
            "max_wait_time",
            max_wait_time,
            0 < max_wait_time < math.inf,
            "more than 0 seconds; auto_flush=False for no timer",
        ),
        ("concurrency", concurrency, concurrency is None or concurrency >= 1, "at least 1, or None for no limit"),
    ):
        if not is_good:
            raise ValueError(f"{name} = {value!r}: write {remedy}")


def require_items(items: Iterable[Any]) -> None:
    """Raises TypeError for one text, which would be taken letter by letter."""
    if isinstance(items, str | bytes | bytearray):
        raise TypeError(f"items is one {type(items).__name__}: write add(item) for one item, or a list of items")


def require_result(result: object) -> None:
    """Raises TypeError for what is no result of a batch."""
    if not isinstance(result, BatchResult):
        raise TypeError(f"result is of type {type(result).__name__}: write a BatchResult that add or flush returned")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
