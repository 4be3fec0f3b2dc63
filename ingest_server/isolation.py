"""Finding the refused items of a batch: the error's own hint, then halving, then one by one.

Written rows stay written: each attempt takes up where the last good one ended. One bad row of 1,000 costs three attempts
with a hint and about twenty without; 1,000 bad rows cost about 1,010. Rows are sent at most about twice.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a stretch of rows could not be written; `position` counts from the stretch's start where the error says it."""

    error: Exception
    position: int | None = None
    is_final: bool = True
    """False where a smaller stretch may pass and one row alone must not be buried (a time limit)."""


Attempt = Callable[[int, int], Awaitable[Fault | None]]
"""Writes the rows from start up to stop, or none of them and returns why."""


async def isolate(total: int, attempt: Attempt) -> dict[int, Exception]:
    """Write all rows that can be written, and return the others' positions with their errors.

    No row is refused but by an attempt that had only rows before it that were written, so that a row which merely met a
    bad neighbour (a duplicate of a row that is refused itself) is written. Raises the error of a single row whose fault
    is not final.
    """
    refused: dict[int, Exception] = {}
    hint: tuple[int, Exception] | None = None
    start, size = 0, total
    while start < total:
        if hint is not None and start == hint[0]:
            refused[start] = hint[1]
            start, hint = start + 1, None
            continue
        stop = min(start + size, total)
        if hint is not None:
            stop = min(stop, hint[0])
        fault = await attempt(start, stop)
        if fault is None:
            start, size = stop, size * 2
        elif stop - start == 1:
            if not fault.is_final:
                raise fault.error
            refused[start] = fault.error
            start, hint = start + 1, None
        elif fault.is_final and fault.position == 0:
            refused[start] = fault.error
            start, size, hint = start + 1, max(1, size // 2), None
        elif fault.is_final and fault.position is not None and start + fault.position < stop:
            # It holds as long as every row before it is written.
            hint = (start + fault.position, fault.error)
            size = fault.position
        else:
            size = max(1, (stop - start) // 2)
    return refused
