"""Isolation inside a transaction: an attempt is kept or undone by a savepoint, and errors are sorted by whose fault they are."""

from collections.abc import Awaitable, Callable

from ingest_server.isolation import Fault, isolate
from ingest_server.postgres.connections.sqlstate import Sort, sort_error
from ingest_server.postgres.connections.transactions import Attempts
from ingest_server.postgres.writing.refusals import copy_position

Write = Callable[[int, int], Awaitable[None]]
"""Writes from start up to stop, or raises."""


async def isolated(total: int, write: Write, tries: Attempts, copied: str | None = None) -> dict[int, Exception]:
    """Write all that can be written, and return the errors of the others by their places.

    `copied` names the table that `write` copies rows into, if it does. Raises what is no fault of a row.
    """

    async def attempt(start: int, stop: int) -> Fault | None:
        fault = await fault_in(write(start, stop), copied)
        if fault is not None:
            await tries.undo()
            return fault
        await tries.keep()
        return None

    return await isolate(total, attempt)


async def fault_in(writing: Awaitable[object], copied: str | None = None) -> Fault | None:
    """What went wrong with the rows, or None where nothing did. Raises what is no fault of a row."""
    try:
        await writing
    except Exception as error:
        fault = _fault(error, copied)
        if fault is None:
            raise
        return fault
    return None


def _fault(error: Exception, copied: str | None) -> Fault | None:
    match sort_error(error):
        case Sort.DATA:
            return Fault(error, None if copied is None else copy_position(error, copied))
        case Sort.SHAPE if is_of_a_row(error):
            return Fault(error, None if copied is None else copy_position(error, copied))
        case Sort.TIME_LIMIT:
            return Fault(error, is_final=False)
    return None


def is_of_a_row(error: Exception) -> bool:
    """Whether this shape error, met after the shape was compared under the lock, is the row's own fault."""
    return getattr(error, "sqlstate", None) == "22P03"
