"""The ingestion server: batches of items over HTTP, settled in PostgreSQL."""

from ingest_server.tables import Table

__all__ = ["Table"]
