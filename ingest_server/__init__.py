"""The ingestion server: batches of items over HTTP, settled in PostgreSQL."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingest_server.models.table import Table

__all__ = ["Table"]


def __getattr__(name: str) -> Any:
    """`Table`, once somebody asks: a plain install has this package, but not what its rooms need."""
    if name == "Table":
        from ingest_server.models.table import Table

        return Table
    raise AttributeError(name)
