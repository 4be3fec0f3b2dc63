"""Writing a batch of which some rows are refused: the others are written, and the refused ones named."""

from collections.abc import Sequence

from ingest_server.postgres.connections.transactions import Attempts, attempts
from ingest_server.postgres.tables.catalogue import Connection
from ingest_server.postgres.writing.counts import Counts
from ingest_server.postgres.writing.isolated import Write, isolated
from ingest_server.postgres.writing.patch_search import patch_what_can_be
from ingest_server.postgres.writing.rows import Rows
from ingest_server.postgres.writing.writer import Writer

# A chain of rows, each of which needs the next, could take as many as it has links.
_MORE_TIMES = 16

Refused = dict[int, Exception]
"""Why items cannot be written, by their indexes."""


async def write_what_can_be(one: Connection, writer: Writer, groups: Sequence[Rows]) -> tuple[Counts, Refused]:
    """Write every row that can be written, and return the errors of the others by their items' indexes.

    Where several items share a key and the winner is refused, the next one wins. Raises what is no fault of a row.
    """
    staged = [rows for rows in groups if writer.needs_staging(rows)]
    if staged:
        await writer.make_staging(one)
        await writer.index_staging(one)
    async with attempts(one) as tries:
        counts, refused = await _write(one, writer, groups, tries)
        for _ in range(_MORE_TIMES):
            orphans = _orphans(refused)
            if not orphans or not await writer.refers_to_itself(one):
                break
            found, more = await _write_orphans(one, writer, groups, orphans, tries)
            counts += found
            refused = {index: error for index, error in refused.items() if index not in orphans} | more
            if len(more) == len(orphans):
                break
    return counts, refused


async def _write(one: Connection, writer: Writer, groups: Sequence[Rows], tries: Attempts) -> tuple[Counts, Refused]:
    counts = Counts()
    refused: Refused = {}
    staged = [rows for rows in groups if writer.needs_staging(rows)]
    for rows in groups:
        if rows in staged:
            refused |= await _stage(one, writer, rows, tries)
        else:
            found, more = await _append(one, writer, rows, tries)
            counts += found
            refused |= more
    if staged:
        refused |= await _fill(one, writer, staged, tries)
        already = len(refused.keys() & {index for rows in staged for index in rows.indexes})
        found, more = await _merge_staged(one, writer, staged, tries, already=already)
        counts += found
        refused |= more
    return counts, refused


async def _merge_staged(
    one: Connection, writer: Writer, staged: Sequence[Rows], tries: Attempts, *, already: int
) -> tuple[Counts, Refused]:
    merge = _merge if writer.patching is None else _patch
    found, refused = await merge(one, writer, staged, tries)
    total = sum(len(rows.values) for rows in staged) - already - len(refused)
    return found + Counts(unchanged=total - found.inserted - found.updated), refused


def _orphans(refused: Refused) -> Refused:
    """Items that refer to a row which is not there."""
    return {index: error for index, error in refused.items() if getattr(error, "sqlstate", None) == "23503"}


async def _write_orphans(
    one: Connection, writer: Writer, groups: Sequence[Rows], orphans: Refused, tries: Attempts
) -> tuple[Counts, Refused]:
    """Write the rows that wait for others of their own batch, now that those are there.

    Not those whose key another item of the batch has: that one may be newer, and is written.
    """
    counts = Counts()
    refused = dict(orphans)
    staged: list[Rows] = []
    for rows in (rows.only(orphans.keys()) for rows in groups):
        if writer.needs_staging(rows):
            staged.append(rows)
            if writer.patching is None:  # else they are there still
                await _stage(one, writer, rows, tries)
        else:
            found, more = await _append(one, writer, rows, tries)
            counts += found
            refused = {index: error for index, error in refused.items() if index not in rows.indexes} | more
    if staged:
        if writer.patching is None:
            await _fill(one, writer, staged, tries)
        alone = await writer.keep_alone(one, list(orphans))
        await tries.keep()
        found, more = await _merge_staged(one, writer, [rows.only(alone) for rows in staged], tries, already=0)
        counts += found
        refused = {index: error for index, error in refused.items() if index not in alone} | more
    return counts, refused


async def _append(one: Connection, writer: Writer, rows: Rows, tries: Attempts) -> tuple[Counts, Refused]:
    counts = Counts()

    async def write(start: int, stop: int) -> None:
        nonlocal counts
        counts += await writer.append(one, rows, start, stop)

    refused = await _isolated(rows.indexes, write, tries, writer.copied(rows))
    return counts, refused


async def _stage(one: Connection, writer: Writer, rows: Rows, tries: Attempts) -> Refused:
    async def write(start: int, stop: int) -> None:
        await writer.stage(one, rows, start, stop)

    return await _isolated(rows.indexes, write, tries, writer.copied(rows))


async def _fill(one: Connection, writer: Writer, groups: Sequence[Rows], tries: Attempts) -> Refused:
    undated = writer.undated(groups)

    async def write(start: int, stop: int) -> None:
        await writer.fill(one, undated[start:stop])

    refused = await _isolated(undated, write, tries, None)
    if refused:
        await writer.unstage(one, list(refused))
        await tries.keep()
    return refused


async def _merge(one: Connection, writer: Writer, groups: Sequence[Rows], tries: Attempts) -> tuple[Counts, Refused]:
    counts = Counts()
    refused: Refused = {}
    tried: set[int] = set()
    while True:
        winners = await writer.winners(one)
        candidates = [index for index in winners if index not in tried]
        found: Refused = {}
        for rows in groups:
            # In the order of their keys, in which every worker locks rows.
            own = set(rows.indexes)
            mine = [index for index in candidates if index in own]
            merged, more = await _merge_group(one, writer, rows.columns, mine, tries)
            counts += merged
            found |= more
        tried.update(candidates)
        refused |= found
        if not found:
            break
        await writer.unstage(one, list(found))
        # Else the next attempt that is undone would put them back, and they would win over what is still to be written.
        await tries.keep()
    if not refused.keys().isdisjoint(winners):
        raise AssertionError("a refused item won over one that could be written")
    return counts, refused


async def _merge_group(
    one: Connection, writer: Writer, columns: tuple[str, ...], indexes: Sequence[int], tries: Attempts
) -> tuple[Counts, Refused]:
    counts = Counts()

    async def write(start: int, stop: int) -> None:
        nonlocal counts
        counts += await writer.merge(one, columns, indexes[start:stop])

    refused = await _isolated(indexes, write, tries, None)
    return counts, refused


async def _patch(one: Connection, writer: Writer, groups: Sequence[Rows], tries: Attempts) -> tuple[Counts, Refused]:
    assert writer.patching is not None
    return await patch_what_can_be(one, writer.patching, writer.staged(groups), tries)


async def _isolated(indexes: Sequence[int], write: Write, tries: Attempts, copied: str | None) -> Refused:
    found = await isolated(len(indexes), write, tries, copied)
    return {indexes[place]: error for place, error in found.items()}
