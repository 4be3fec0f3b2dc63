"""Tables made: from models at start, and landing tables when their first batch comes."""

from collections.abc import Sequence

from ingest_server.errors import IncompatibleTable
from ingest_server.model import Column, TableName, TableOptions, TableSpec
from ingest_server.postgres.catalogue import Connection, read_table
from ingest_server.postgres.identifiers import listed, qualified, quoted
from ingest_server.postgres.schema import DDL_LOCK, ensure_schema


async def ensure(one: Connection, wanted: TableSpec) -> None:
    """Make the model's table, or add the nullable columns that it lacks.

    Raises `IncompatibleTable`, with column and remedy, where anything else differs; then nothing was changed.
    """
    async with one.transaction():
        await one.execute("SELECT pg_advisory_xact_lock($1)", DDL_LOCK)
        found = await read_table(one, wanted.table, TableOptions())
        if found is None:
            columns = [_definition(column) for column in wanted.columns]
            if wanted.key:
                columns.append(f"PRIMARY KEY ({listed(wanted.key)})")
            await ensure_schema(one, wanted.table.schema)
            await one.execute(f"CREATE TABLE {qualified(wanted.table)} ({', '.join(columns)})")
            return
        for statement in _differences(found, wanted):
            await one.execute(statement)


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


def _differences(found: TableSpec, wanted: TableSpec) -> Sequence[str]:
    """The statements that make up for what is missing."""
    name = f"{wanted.table.schema}.{wanted.table.name}"
    there = {column.name: column for column in found.columns}
    statements = []
    for column in wanted.columns:
        old = there.get(column.name)
        if old is None:
            if not column.nullable:
                raise IncompatibleTable(
                    f"table {name} lacks column {column.name}, which the model requires",
                    remedy=f"let the model take None for it, or ALTER TABLE {name} ADD COLUMN it with a default first",
                )
            statements.append(f"ALTER TABLE {qualified(wanted.table)} ADD COLUMN {_definition(column)}")
        elif old.generated:
            raise IncompatibleTable(
                f"table {name}, column {column.name}: the table generates it, and the model has a field for it",
                remedy="take the field out of the model, or give it exclude=True",
            )
        elif not _fits(old, column):
            raise IncompatibleTable(
                f"table {name}, column {column.name}: the model says {column.type}, the table {old.type}",
                remedy=f"change the model's field, or ALTER TABLE {name} ALTER COLUMN {column.name} TYPE {column.type}",
            )
        elif column.nullable and not old.nullable and not old.has_default:
            raise IncompatibleTable(
                f"table {name}, column {column.name}: the model allows None, the table is NOT NULL",
                remedy=f"change the model's field, or ALTER TABLE {name} ALTER COLUMN {column.name} DROP NOT NULL",
            )
    known = {column.name for column in wanted.columns}
    for column in found.columns:
        if column.name not in known and not (column.nullable or column.has_default or column.generated):
            raise IncompatibleTable(
                f"table {name} has column {column.name}, NOT NULL and without a default, which the model lacks",
                remedy=f"add the field to the model, or ALTER TABLE {name} ALTER COLUMN {column.name} DROP NOT NULL",
            )
    if wanted.key and set(found.key) != set(wanted.key):
        raise IncompatibleTable(
            f"table {name}: the model's key is ({', '.join(wanted.key)}), the table's ({', '.join(found.key) or 'none'})",
            remedy="change key= in the model's class line, or the table's primary key",
        )
    return statements


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
