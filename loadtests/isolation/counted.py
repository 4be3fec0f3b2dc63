"""A connection that counts what it says to PostgreSQL."""

from typing import Any

from ingest_server.postgres.connections.shaped import ShapedConnection

said = 0
"""Statements of every connection so far. One text of several statements, and one COPY, count as one: a round trip each."""


class CountedConnection(ShapedConnection):
    """Counts in `said`, and is in all else the sink's own connection."""

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        _count()
        return await super().execute(*args, **kwargs)

    async def fetch(self, *args: Any, **kwargs: Any) -> Any:
        _count()
        return await super().fetch(*args, **kwargs)

    async def fetchrow(self, *args: Any, **kwargs: Any) -> Any:
        _count()
        return await super().fetchrow(*args, **kwargs)

    async def fetchval(self, *args: Any, **kwargs: Any) -> Any:
        _count()
        return await super().fetchval(*args, **kwargs)

    async def copy_records_to_table(self, *args: Any, **kwargs: Any) -> Any:
        _count()
        return await super().copy_records_to_table(*args, **kwargs)

    async def copy_to_table(self, *args: Any, **kwargs: Any) -> Any:
        _count()
        return await super().copy_to_table(*args, **kwargs)


def _count() -> None:
    global said
    said += 1
