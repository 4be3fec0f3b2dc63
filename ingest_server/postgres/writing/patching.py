"""Staged items into one table, field by field: only what an item has is written (`merge = patch`).

Items of one key are merged in their order, so that each row is written once; the last one's fields win. With `newest_by`
an item counts only where it is as new as the row and as every item of its key before it: what stays is what would stay if
they had come one after the other.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from ingest_server.errors import Contended
from ingest_server.model import Column, Merge, TableSpec
from ingest_server.postgres.decoding.jsontext import joined, members
from ingest_server.postgres.tables.catalogue import Connection
from ingest_server.postgres.writing.counts import Counts
from ingest_server.postgres.writing.patch_statements import PatchStatements
from ingest_server.postgres.writing.rows import Rows
from ingest_server.turns import Breath


@dataclass(frozen=True, slots=True)
class Step:
    """A staged item among those of its key. `age` compares as the newest_by column does; without one all are alike."""

    position: int
    age: int


Key = Sequence[Step]
"""The items of one key, in their order."""


class Staged:
    """What the items of a batch have: their columns, and what is in the catch-all column."""

    def __init__(self, spec: TableSpec, groups: Iterable[Rows]) -> None:
        self._columns: dict[int, tuple[str, ...]] = {}
        self._gathered: dict[int, str | None] = {}
        for rows in groups:
            columns = rows.columns
            if spec.newest_by is not None and spec.newest_by not in columns:  # filled by its default
                columns = (*columns, spec.newest_by)
            self._columns.update(dict.fromkeys(rows.indexes, columns))
            if spec.catch_all is not None and spec.catch_all in rows.columns:
                place = rows.columns.index(spec.catch_all)
                self._gathered.update(
                    (index, value[place]) for index, value in zip(rows.indexes, rows.values, strict=True)
                )

    def columns(self, position: int) -> tuple[str, ...]:
        """The columns that this item fills."""
        return self._columns[position]

    def gathered(self, steps: Iterable[Step]) -> str | None:
        """What these items have in the catch-all column, merged member by member in their order."""
        texts = [self._gathered[step.position] for step in steps if step.position in self._gathered]
        return reduce(_gathered, texts)


@dataclass(frozen=True, slots=True)
class _Merged:
    """What the items of one key come to: the last of those that count, with the fields of those before it."""

    steps: tuple[Step, ...]
    columns: tuple[str, ...]

    @property
    def position(self) -> int:
        return self.steps[-1].position

    @property
    def depends_on_the_row(self) -> bool:
        """Whether a row of another age would have taken only some of these items."""
        return self.steps[0].age != self.steps[-1].age


class Patching:
    """Compiled for one table's shape."""

    def __init__(self, spec: TableSpec, staged: str) -> None:
        self._spec = spec
        self._statements = PatchStatements(spec, staged)
        self._needed = {column.name for column in spec.writable if not column.nullable and not column.has_default}

    def could_be_new(self, steps: Iterable[Step], staged: Staged) -> bool:
        """Whether these items have together what a row that is not there needs."""
        return self._needed.issubset(name for step in steps for name in staged.columns(step.position))

    async def keys(self, one: Connection) -> list[Key]:
        """The staged items by their keys, equal as PostgreSQL finds them, in their order."""
        found: defaultdict[int, list[Step]] = defaultdict(list)
        breath = Breath(0)
        for position, key, age in await one.fetch(self._statements.keys):
            if breath.is_due(0):
                await breath.take()
            found[key].append(Step(position, age))
        return list(found.values())

    async def write(self, one: Connection, keys: Sequence[Key], staged: Staged) -> Counts:
        """Write the items of these keys, or raise. Counts one row for each key; what did not change is in no count."""
        there = await self._lock(one, [step.position for key in keys for step in key])
        updated: list[_Merged] = []
        inserted: list[_Merged] = []
        breath = Breath(0)
        for key in keys:
            if breath.is_due(0):
                await breath.take()
            is_there = key[0].position in there
            steps = _that_count(key)
            if is_there:
                steps = [step for step in steps if there[step.position]]
            if steps:
                (updated if is_there else inserted).append(self._merged(steps, staged))
        await self._blend(one, [*updated, *inserted], staged)
        counts = Counts()
        for columns, group in _by_columns(updated):
            if len(columns) > len(self._spec.key):
                found = await one.fetch(self._statements.update(columns), [merged.position for merged in group])
                counts += Counts(updated=len(found))
        for depends in (False, True):
            for columns, group in _by_columns(merged for merged in inserted if merged.depends_on_the_row is depends):
                counts += await self._insert(one, columns, group)
        return counts

    async def _lock(self, one: Connection, positions: Sequence[int]) -> dict[int, bool]:
        """Which of these items have a row already, each with whether it is as new as that; the rows are ours from now on."""
        return {row[0]: bool(row["applies"]) for row in await one.fetch(self._statements.lock, positions)}

    async def _insert(self, one: Connection, columns: tuple[str, ...], group: Sequence[_Merged]) -> Counts:
        has_old = one.get_server_version().major >= 18
        statement = self._statements.insert(columns, has_old=has_old)
        found = await one.fetch(statement, [merged.position for merged in group])
        inserted = sum(row[0] for row in found)
        if inserted < len(found) and group[0].depends_on_the_row:
            raise Contended("a row of the same key was inserted at the same moment")
        return Counts(inserted=inserted, updated=len(found) - inserted)

    def _merged(self, steps: Sequence[Step], staged: Staged) -> _Merged:
        if len(steps) == 1:
            return _Merged(tuple(steps), staged.columns(steps[0].position))
        names = {name for step in steps for name in staged.columns(step.position)}
        return _Merged(tuple(steps), tuple(column.name for column in self._spec.writable if column.name in names))

    async def _blend(self, one: Connection, all_merged: Iterable[_Merged], staged: Staged) -> None:
        """In the staging table: fields that the last item of a key lacks, from the last one before it that has them."""
        pairs: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        gathered: dict[int, str | None] = {}
        breath = Breath(0)
        for merged in all_merged:
            if len(merged.steps) == 1:
                continue
            if breath.is_due(0):
                await breath.take()
            giver: dict[str, int] = {}
            for step in merged.steps:
                giver.update(dict.fromkeys(staged.columns(step.position), step.position))
            if self._spec.catch_all is not None and giver.pop(self._spec.catch_all, None) is not None:
                gathered[merged.position] = staged.gathered(merged.steps)
            for name, position in giver.items():
                if position != merged.position:
                    pairs[name].append((merged.position, position))
        for name, found in sorted(pairs.items()):
            await one.execute(self._statements.blend(name), *map(list, zip(*found, strict=True)))
        if gathered:
            assert self._spec.catch_all is not None
            await one.execute(self._statements.gather(self._spec.catch_all), [*gathered], [*gathered.values()])


def is_patched(spec: TableSpec, column: Column) -> bool:
    """Whether items may leave this column as it is by leaving it out."""
    return spec.merge is Merge.PATCH and column.name not in (*spec.key, spec.newest_by)


def _that_count(key: Key) -> list[Step]:
    """The items that are not older than one of their key before them."""
    found: list[Step] = []
    for step in key:
        if not found or step.age >= found[-1].age:
            found.append(step)
    return found


def _by_columns(all_merged: Iterable[_Merged]) -> list[tuple[tuple[str, ...], list[_Merged]]]:
    """By what they fill, in one order in every worker."""
    found: defaultdict[tuple[str, ...], list[_Merged]] = defaultdict(list)
    for merged in all_merged:
        found[merged.columns].append(merged)
    return sorted(found.items())


def _gathered(before: str | None, after: str | None) -> str | None:
    if before is None or after is None or not before.startswith("{") or not after.startswith("{"):
        return after
    both: Mapping[str, bytes] = {
        name: bytes(value) for text in (before, after) for name, value in members(text.encode()).items()
    }
    return joined(dict(both)).decode()
