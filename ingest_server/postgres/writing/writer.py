"""Rows into one table: COPY, or COPY into a staging table and one INSERT … SELECT … ON CONFLICT."""

from collections.abc import Sequence

from ingest_server.model import Merge, Mode, TableSpec
from ingest_server.postgres.tables.catalogue import Connection
from ingest_server.postgres.writing.copying import Copying
from ingest_server.postgres.writing.counts import Counts
from ingest_server.postgres.writing.patching import Patching, Staged
from ingest_server.postgres.writing.rows import Rows
from ingest_server.postgres.writing.statements import DEFAULT, POSITION, REFERS_TO_ITSELF, Statements


class Writer:
    """Compiled for one table's shape."""

    def __init__(self, spec: TableSpec) -> None:
        self._spec = spec
        self._statements = Statements(spec)
        self._copying = Copying(spec)
        self.patching = Patching(spec, self._statements.staged) if spec.merge is Merge.PATCH else None
        """What merges staged rows instead where items are patches."""
        self._is_dated_by_default = any(column.name == spec.newest_by and column.has_default for column in spec.columns)

    @property
    def prelude(self) -> str:
        """What the transaction begins with."""
        return self._statements.prelude

    def needs_staging(self, rows: Rows) -> bool:
        """Whether these rows go through the staging table; without a whole key nothing can meet a row that is there."""
        return self._spec.mode is not Mode.APPEND and set(self._spec.key).issubset(rows.columns)

    async def write(self, one: Connection, groups: Sequence[Rows]) -> Counts:
        """Write all rows in the table's mode, or raise. Of rows that share a key only the winner is written."""
        counts = Counts()
        # In one order in every worker: two that write the same keys meet in fewer deadlocks.
        staged = sorted((rows for rows in groups if self.needs_staging(rows)), key=lambda rows: rows.columns)
        for rows in groups:
            if rows not in staged:
                counts += await self.append(one, rows, 0, len(rows.values))
        if not staged:
            return counts
        await self.make_staging(one)
        for rows in staged:
            await self.stage(one, rows, 0, len(rows.values))
        await self.fill(one, self.undated(staged))
        if self.patching is not None:
            written = await self.patching.write(one, await self.patching.keys(one), self.staged(staged))
        elif len(staged) == 1:
            written = await self.merge(one, staged[0].columns)
        else:
            # Who wins is decided over all of them, by PostgreSQL's own notion of equal and newer.
            written = Counts()
            winners = set(await self.winners(one))
            for rows in staged:
                written += await self.merge(one, rows.columns, sorted(winners.intersection(rows.indexes)))
        total = sum(len(rows.values) for rows in staged)
        return counts + written + Counts(unchanged=total - written.inserted - written.updated)

    async def append(self, one: Connection, rows: Rows, start: int, stop: int) -> Counts:
        """Write these rows as new ones. A row that a trigger kept out without an error counts as unchanged."""
        table = self._spec.table
        if not rows.columns:  # every column takes its default: COPY has no such form
            tag = await one.execute(self._statements.append_defaults, stop - start)
            return Counts(inserted=int(tag.rsplit(" ", 1)[1]))
        values = rows.values if stop - start == len(rows.values) else rows.values[start:stop]
        tag = await self._copying.copy(one, table.name, table.schema, rows.columns, values, ())
        inserted = int(tag.removeprefix("COPY "))
        return Counts(inserted=inserted, unchanged=stop - start - inserted)

    async def make_staging(self, one: Connection) -> None:
        """Make the staging table, once per connection and shape; it is emptied at every COMMIT and ROLLBACK."""
        if self._statements.staging not in one.staging:
            await one.execute(one.staging_made_by(self._statements.make_staging))

    def committed(self, one: Connection, groups: Sequence[Rows]) -> None:
        """The transaction is committed, and with it the staging table if these rows needed one."""
        if any(self.needs_staging(rows) for rows in groups):
            one.staging.add(self._statements.staging)

    async def index_staging(self, one: Connection) -> None:
        """Make it cheap to merge staged rows one by one."""
        await one.execute(self._statements.index_staging)

    async def stage(self, one: Connection, rows: Rows, start: int, stop: int) -> None:
        """Put these rows into the staging table, each with its item's index."""
        columns = (*rows.columns, POSITION)
        await self._copying.copy(
            one, self._statements.staging, "pg_temp", columns, rows.values[start:stop], rows.indexes[start:stop]
        )

    def undated(self, groups: Sequence[Rows]) -> list[int]:
        """The items that leave out the newest_by column and so take its default, in order."""
        if not self._is_dated_by_default:
            return []
        return sorted(index for rows in groups if self._spec.newest_by not in rows.columns for index in rows.indexes)

    async def fill(self, one: Connection, indexes: Sequence[int]) -> None:
        """Give these staged items the newest_by column's default, before winners are chosen by it."""
        if not indexes:
            return
        default = await one.fetchval(DEFAULT, self._spec.oid, self._spec.newest_by)
        if default is not None:  # a domain's own default was taken by COPY
            await one.execute(self._statements.fill(default), indexes)

    def staged(self, groups: Sequence[Rows]) -> Staged:
        """What these rows have, for `patching`."""
        return Staged(self._spec, groups)

    async def winners(self, one: Connection) -> list[int]:
        """Of each key that is staged, the index of the item that must win."""
        return [row[0] for row in await one.fetch(self._statements.winners)]

    async def merge(self, one: Connection, columns: tuple[str, ...], indexes: Sequence[int] | None = None) -> Counts:
        """Merge the staged rows of these items; without any, of each key the winner. Counts what was written."""
        if indexes is not None and not indexes:
            return Counts()
        has_old = one.get_server_version().major >= 18
        statement = self._statements.merge(columns, chosen=indexes is not None, has_old=has_old)
        found = await one.fetch(statement, *(() if indexes is None else (indexes,)))
        inserted = sum(row[0] for row in found)
        return Counts(inserted=inserted, updated=len(found) - inserted)

    async def unstage(self, one: Connection, indexes: Sequence[int]) -> None:
        """Take refused items out, so that the next of their key may win."""
        await one.execute(self._statements.unstage, indexes)

    async def keep_alone(self, one: Connection, indexes: Sequence[int]) -> set[int]:
        """Take all out but those of these items whose keys no other item has; the indexes of what is left."""
        await one.execute(self._statements.keep_alone, indexes)
        return {row[0] for row in await one.fetch(self._statements.positions)}

    async def refers_to_itself(self, one: Connection) -> bool:
        """Whether rows of the table may need others of it."""
        return bool(await one.fetchval(REFERS_TO_ITSELF, self._spec.oid))

    def copied(self, rows: Rows) -> str:
        """The name under which PostgreSQL's errors speak of the table that these rows are copied into."""
        return self._statements.staging if self.needs_staging(rows) else self._spec.table.name
