"""What is known of each table: its shape, and decoder and writer compiled for it. Asked once, until it changes."""

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg
from pydantic import BaseModel

from ingest_server.errors import Misconfigured, Unavailable
from ingest_server.model import Batch, Mode, Options, TableName, TableOptions, TableSpec
from ingest_server.postgres.connections.pool import connection
from ingest_server.postgres.decoding.decode import Decoder
from ingest_server.postgres.decoding.landing import LandingDecoder
from ingest_server.postgres.tables.catalogue import CLOSED_SCHEMAS, SHAPE, Connection, read_table, read_tables
from ingest_server.postgres.tables.ddl import make_landing
from ingest_server.postgres.tables.identifiers import qualified
from ingest_server.postgres.writing.writer import Writer


@dataclass(frozen=True, slots=True)
class Plan:
    """One table's shape, and what was compiled for it."""

    spec: TableSpec
    writer: Writer
    _decoder: Decoder | None

    def decoder(self, batch: Batch) -> Decoder | LandingDecoder:
        """What turns this batch's items into rows."""
        return self._decoder or LandingDecoder(batch.crawl, batch.id, self.spec.unstorable)


class Plans:
    """The plans of all tables that were asked for."""

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        *,
        models: Mapping[TableName, type[BaseModel]],
        options: Options,
        create_tables: bool,
    ) -> None:
        self._pool = pool
        self._models = models
        self._options = options
        self._create_tables = create_tables
        self._plans: dict[TableName, Plan] = {}
        self._specs: dict[TableName, TableSpec] = {}

    def forget(self, table: TableName) -> None:
        """The table changed: ask the catalogue next time."""
        self._plans.pop(table, None)
        self._specs.pop(table, None)

    def known(self, table: TableName) -> Plan | None:
        """The table's plan as it was last read. Its shape is checked in the transaction that writes."""
        return self._plans.get(table)

    async def spec(self, table: TableName) -> TableSpec | None:
        """The table's shape now, or None where there is none and none would be made. Options that do not fit it are left out.

        While PostgreSQL is away it is the shape that was last seen. Raises `Unavailable` where none was.
        """
        try:
            async with connection(self._pool) as one:
                found = await self._listed(one, table)
                makes = found is None and await self._makes(one, table)
                if found is None and not makes:  # perhaps made by somebody else a moment ago
                    found = await self._listed(one, table)
        except Unavailable:
            if table not in self._specs:
                raise
            return self._specs[table]
        if found is None:
            self.forget(table)
            return TableSpec(table, (), mode=Mode.APPEND, landing=True) if makes else None
        return found

    async def plan(self, one: Connection, table: TableName) -> Plan:
        """The table's plan; a landing table is made where that is wanted. Raises `Misconfigured` where there is none."""
        if (plan := self._plans.get(table)) is not None:
            return plan
        spec = await self._read(one, table)
        if spec is None:
            if await self._makes(one, table):
                await make_landing(one, table)
            spec = await self._read(one, table)  # made now, or by somebody else a moment ago
        if spec is None:
            raise Misconfigured(
                f"table {table.schema}.{table.name} does not exist: create it, and its batches go on "
                "(a view of that name is no table)",
                code="42P01",
            )
        plan = Plan(spec, Writer(spec), None if spec.landing else Decoder(spec, self._models.get(table)))
        self._plans[table] = plan
        return plan

    async def refresh(self, one: Connection, table: TableName) -> None:
        """Forget the table's plan if its shape is another by now."""
        plan = self._plans.get(table)
        if plan is not None and await one.fetchval(SHAPE, qualified(table)) != plan.spec.shape:
            self.forget(table)

    async def specs(self) -> list[TableSpec]:
        """Every table that may be written, as the catalogue has it now."""
        async with connection(self._pool) as one:
            found = [await self._listed(one, table) for table in await read_tables(one)]
        return [spec for spec in found if spec is not None]

    async def _listed(self, one: Connection, table: TableName) -> TableSpec | None:
        try:
            return await self._read(one, table)
        except Misconfigured:  # its options do not fit it; its batches say so, and the others are listed all the same
            return await read_table(one, table, TableOptions(mode=Mode.APPEND))

    async def _read(self, one: Connection, table: TableName) -> TableSpec | None:
        spec = await read_table(one, table, self._options.get(table, TableOptions()))
        if spec is not None:
            self._specs[table] = spec
        return spec

    async def _makes(self, one: Connection, table: TableName) -> bool:
        """Whether a landing table of this name would be made: not in closed schemas, and not where a view has the name."""
        if not self._create_tables or table.schema in CLOSED_SCHEMAS or table.schema.startswith("pg_"):
            return False
        return not await one.fetchval("SELECT to_regclass($1) IS NOT NULL", qualified(table))
