"""Names into SQL: always from the catalogue or from a checked TableName, always quoted."""

from collections.abc import Iterable

from ingest_server.model import TableName


def quoted(name: str) -> str:
    """One identifier, quoted as PostgreSQL's quote_ident() would if it always did."""
    return '"' + name.replace('"', '""') + '"'


def listed(names: Iterable[str]) -> str:
    """Several identifiers, quoted, with commas."""
    return ", ".join(quoted(name) for name in names)


def qualified(table: TableName) -> str:
    """A table with its schema."""
    return f"{quoted(table.schema)}.{quoted(table.name)}"
