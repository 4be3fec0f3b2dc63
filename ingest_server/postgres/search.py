"""Writing a batch of which some rows are refused: the others are written, and the refused ones named."""

from collections.abc import Awaitable, Callable, Sequence

from ingest_server.isolation import Fault, isolate
from ingest_server.model import Refusal
from ingest_server.postgres.catalogue import Connection
from ingest_server.postgres.refusals import copy_position, refusal_from
from ingest_server.postgres.rows import Rows
from ingest_server.postgres.sqlstate import Sort, sort_error
from ingest_server.postgres.transactions import Attempts, attempts
from ingest_server.postgres.writer import Counts, Writer


async def write_what_can_be(
    one: Connection, writer: Writer, groups: Sequence[Rows]
) -> tuple[Counts, dict[int, Refusal]]:
    """Write every row that can be written, and return the refusals of the others by their items' indexes.

    Where several items share a key and the winner is refused, the next one wins. Raises what is no fault of a row.
    """
    counts = Counts()
    refusals: dict[int, Refusal] = {}
    staged = [rows for rows in groups if writer.needs_staging(rows)]
    if staged:
        await writer.make_staging(one)
        await writer.index_staging(one)
    async with attempts(one) as tries:
        for rows in groups:
            if rows in staged:
                refusals |= await _stage(one, writer, rows, tries)
            else:
                found, more = await _append(one, writer, rows, tries)
                counts += found
                refusals |= more
        if staged:
            refusals |= await _fill(one, writer, staged, tries)
            already = len(refusals.keys() & {index for rows in staged for index in rows.indexes})
            found, more = await _merge(one, writer, staged, tries)
            refusals |= more
            total = sum(len(rows.values) for rows in staged) - already - len(more)
            counts += found + Counts(unchanged=total - found.inserted - found.updated)
    return counts, refusals


async def _append(one: Connection, writer: Writer, rows: Rows, tries: Attempts) -> tuple[Counts, dict[int, Refusal]]:
    counts = Counts()

    async def write(start: int, stop: int) -> None:
        nonlocal counts
        counts += await writer.append(one, rows, start, stop)

    refusals = await _isolated(rows.indexes, write, tries, writer.copied(rows))
    return counts, refusals


async def _stage(one: Connection, writer: Writer, rows: Rows, tries: Attempts) -> dict[int, Refusal]:
    async def write(start: int, stop: int) -> None:
        await writer.stage(one, rows, start, stop)

    return await _isolated(rows.indexes, write, tries, writer.copied(rows))


async def _fill(one: Connection, writer: Writer, groups: Sequence[Rows], tries: Attempts) -> dict[int, Refusal]:
    undated = writer.undated(groups)

    async def write(start: int, stop: int) -> None:
        await writer.fill(one, undated[start:stop])

    refusals = await _isolated(undated, write, tries, None)
    if refusals:
        await writer.unstage(one, list(refusals))
        await tries.keep()
    return refusals


async def _merge(
    one: Connection, writer: Writer, groups: Sequence[Rows], tries: Attempts
) -> tuple[Counts, dict[int, Refusal]]:
    counts = Counts()
    refusals: dict[int, Refusal] = {}
    tried: set[int] = set()
    while True:
        winners = await writer.winners(one)
        candidates = [index for index in winners if index not in tried]
        found: dict[int, Refusal] = {}
        for rows in groups:
            # In the order of their keys, in which every worker locks rows.
            own = set(rows.indexes)
            mine = [index for index in candidates if index in own]
            merged, more = await _merge_group(one, writer, rows.columns, mine, tries)
            counts += merged
            found |= more
        tried.update(candidates)
        refusals |= found
        if not found:
            break
        await writer.unstage(one, list(found))
        # Else the next attempt that is undone would put them back, and they would win over what is still to be written.
        await tries.keep()
    if not refusals.keys().isdisjoint(winners):
        raise AssertionError("a refused item won over one that could be written")
    return counts, refusals


async def _merge_group(
    one: Connection, writer: Writer, columns: tuple[str, ...], indexes: Sequence[int], tries: Attempts
) -> tuple[Counts, dict[int, Refusal]]:
    counts = Counts()

    async def write(start: int, stop: int) -> None:
        nonlocal counts
        counts += await writer.merge(one, columns, indexes[start:stop])

    refusals = await _isolated(indexes, write, tries, None)
    return counts, refusals


async def _isolated(
    indexes: Sequence[int], write: Callable[[int, int], Awaitable[None]], tries: Attempts, copied: str | None
) -> dict[int, Refusal]:
    async def attempt(start: int, stop: int) -> Fault | None:
        try:
            await write(start, stop)
        except Exception as error:
            fault = _fault(error, copied)
            if fault is None:
                raise
            await tries.undo()
            return fault
        await tries.keep()
        return None

    found = await isolate(len(indexes), attempt)
    return {indexes[position]: refusal_from(error, indexes[position]) for position, error in found.items()}


def _fault(error: Exception, copied: str | None) -> Fault | None:
    """What the error says of the rows, or None where it says nothing of them."""
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
