"""Tables made: from models at start, and landing tables when their first batch comes."""

from collections.abc import Sequence
from dataclasses import dataclass

from ingest_server.errors import IncompatibleTable
from ingest_server.model import Column, TableName, TableOptions, TableSpec
from ingest_server.postgres.ledger.schema import DDL_LOCK, creation_of, ensure_schema, is_there
from ingest_server.postgres.tables.catalogue import Connection, read_table
from ingest_server.postgres.tables.identifiers import listed, qualified, quoted


@dataclass(frozen=True, slots=True)
class Difference:
    """What a table lacks of its model. `statements` make up for it, unless there are `conflicts`, which are not ours to mend."""

    table: TableName
    statements: tuple[str, ...] = ()
    conflicts: tuple[IncompatibleTable, ...] = ()


async def difference(one: Connection, wanted: TableSpec) -> Difference:
    """Compare the model's table with the one that is there. Changes nothing."""
    found = await read_table(one, wanted.table, TableOptions())
    if found is not None:
        return _difference(found, wanted)
    columns = [_definition(column) for column in wanted.columns]
    if wanted.key:
        columns.append(f"PRIMARY KEY ({listed(wanted.key)})")
    statements = [f"CREATE TABLE {qualified(wanted.table)} ({', '.join(columns)})"]
    if not await is_there(one, wanted.table.schema):
        statements.insert(0, creation_of(wanted.table.schema))
    return Difference(wanted.table, tuple(statements))


async def ensure(one: Connection, wanted: TableSpec) -> Difference:
    """Make the model's table, or add the nullable columns that it lacks; what was done.

    Raises `IncompatibleTable`, with column and remedy, where anything else differs; then nothing was changed.
    """
    async with one.transaction():
        await one.execute("SELECT pg_advisory_xact_lock($1)", DDL_LOCK)
        found = await difference(one, wanted)
        if found.conflicts:
            raise all_of(found.conflicts)
        for statement in found.statements:
            await one.execute(statement)
    return found


def all_of(conflicts: Sequence[IncompatibleTable]) -> IncompatibleTable:
    """Several as one."""
    first, *others = conflicts
    if not others:
        return first
    more = "".join(f"\n  and {one}" for one in others)
    return IncompatibleTable(first.what, remedy=first.remedy + more)


async def make_landing(one: Connection, table: TableName) -> None:
    """Make a table that takes any item as it is."""
    async with one.transaction():
        await one.execute("SELECT pg_advisory_xact_lock($1)", DDL_LOCK)
        await ensure_schema(one, table.schema)
        await one.execute(
            f"CREATE TABLE IF NOT EXISTS {qualified(table)} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
            "crawl text, batch uuid NOT NULL, item jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now())"
        )


def _definition(column: Column) -> str:
    return f"{quoted(column.name)} {column.type}{'' if column.nullable else ' NOT NULL'}"


def _difference(found: TableSpec, wanted: TableSpec) -> Difference:
    name = qualified(wanted.table)
    there = {column.name: column for column in found.columns}
    statements = []
    conflicts: list[IncompatibleTable] = []
    for column in wanted.columns:
        old = there.get(column.name)
        if old is not None:
            conflicts += _conflicts(name, old, column)
        elif column.nullable:
            statements.append(f"ALTER TABLE {name} ADD COLUMN {_definition(column)}")
        else:
            conflicts.append(
                IncompatibleTable(
                    f"table {name} lacks column {quoted(column.name)}, which the model requires",
                    remedy="let the model take None for it, or "
                    f"ALTER TABLE {name} ADD COLUMN {_definition(column)} DEFAULT … first",
                )
            )
    known = {column.name for column in wanted.columns}
    conflicts += [
        IncompatibleTable(
            f"table {name} has column {quoted(column.name)}, NOT NULL and without a default, which the model lacks",
            remedy=f"add the field to the model, or ALTER TABLE {name} ALTER COLUMN {quoted(column.name)} DROP NOT NULL",
        )
        for column in found.columns
        if column.name not in known and not (column.nullable or column.has_default or column.generated)
    ]
    if wanted.key and set(found.key) != set(wanted.key):
        conflicts.append(
            IncompatibleTable(
                f"table {name}: the model's key is ({listed(wanted.key)}), the table's ({listed(found.key) or 'none'})",
                remedy=f"change key= in the model's class line, or ALTER TABLE {name} ADD PRIMARY KEY ({listed(wanted.key)})",
            )
        )
    return Difference(wanted.table, tuple(statements), tuple(conflicts))


def _conflicts(table: str, old: Column, new: Column) -> Sequence[IncompatibleTable]:
    name = quoted(new.name)
    if old.generated:
        return [
            IncompatibleTable(
                f"table {table}, column {name}: the table generates it, and the model has a field for it",
                remedy="take the field out of the model, or give it exclude=True",
            )
        ]
    if not _fits(old, new):
        return [
            IncompatibleTable(
                f"table {table}, column {name}: the model says {new.type}, the table {old.type}",
                remedy=f"change the model's field, or ALTER TABLE {table} ALTER COLUMN {name} TYPE {new.type}",
            )
        ]
    if new.nullable and not old.nullable and not old.has_default:
        return [
            IncompatibleTable(
                f"table {table}, column {name}: the model allows None, the table is NOT NULL",
                remedy=f"change the model's field, or ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL",
            )
        ]
    return ()


# Types that hold everything that the model's type can be, written the same way.
_ALSO_FITS = {
    "int8": {"int2", "int4", "numeric"},
    "text": {"varchar", "bpchar", "citext", "enum", "inet", "cidr", "uuid"},
    "jsonb": {"json"},
    "float8": {"float4"},
    "timestamptz": {"timestamp"},
}


def _fits(old: Column, new: Column) -> bool:
    if old.dimensions:
        return False
    return old.kind == new.kind or old.kind in _ALSO_FITS.get(new.kind, ())
