"""Patching with items of which some are refused: first a key as a whole, then item by item."""

from collections.abc import Iterable

from ingest_server.isolation import Fault, isolate
from ingest_server.postgres.connections.transactions import Attempts
from ingest_server.postgres.tables.catalogue import Connection
from ingest_server.postgres.writing.counts import Counts
from ingest_server.postgres.writing.isolated import fault_in, isolated
from ingest_server.postgres.writing.patching import Key, Patching, Staged, Step


async def patch_what_can_be(
    one: Connection, patching: Patching, staged: Staged, tries: Attempts
) -> tuple[Counts, dict[int, Exception]]:
    """Write every staged item that can be written, and return the errors of the others by their positions."""
    keys = await patching.keys(one)
    counts = Counts()

    async def write(start: int, stop: int) -> None:
        nonlocal counts
        counts += await patching.write(one, keys[start:stop], staged)

    refused: dict[int, Exception] = {}
    for place, error in (await isolated(len(keys), write, tries)).items():
        if len(keys[place]) == 1:
            refused[keys[place][0].position] = error
        else:
            found, more = await _patch_one_key(one, patching, keys[place], staged, tries)
            counts += found
            refused |= more
    return counts, refused


async def _patch_one_key(
    one: Connection, patching: Patching, key: Key, staged: Staged, tries: Attempts
) -> tuple[Counts, dict[int, Exception]]:
    """Find out which items of the key are refused, and write the others, merged.

    An item may need another one (a row that is not there yet lacks a NOT NULL column without it), so that those which are
    refused are tried once more when the others are known to be good; and all but one, where none is good by itself.
    """
    good: list[Step] = []

    async def tried(steps: Iterable[Step]) -> Fault | None:
        together = sorted((*good, *steps), key=lambda step: step.position)
        fault = await fault_in(patching.write(one, [together], staged))
        await tries.undo()
        if fault is None:
            good[:] = together
        return fault

    async def of_all(start: int, stop: int) -> Fault | None:
        return await tried(key[start:stop])

    async def of_the_rest(start: int, stop: int) -> Fault | None:
        return await tried(rest[start:stop])

    errors = {key[place]: error for place, error in (await isolate(len(key), of_all)).items()}
    rest = list(errors)
    if not good and patching.could_be_new(rest, staged):
        for left_out in reversed(errors):
            if await tried(step for step in errors if step is not left_out) is None:
                rest = [left_out]
                break
    if good:  # what is said now is said of the item, and not of a row that lacks something else
        errors |= {rest[place]: error for place, error in (await isolate(len(rest), of_the_rest)).items()}
    written = Counts() if not good else await patching.write(one, [good], staged)
    await tries.keep()
    return written, {step.position: error for step, error in errors.items() if step not in good}
