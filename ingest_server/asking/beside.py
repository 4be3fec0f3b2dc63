"""The server's database, for a command that works beside a running server or without one."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from ingest_server.errors import SinkError, StartRefused
from ingest_server.postgres.connections.pool import shown_dsn
from ingest_server.postgres.embedded.embedded import existing_postgres
from ingest_server.settings import Settings

T = TypeVar("T")


@contextlib.contextmanager
def database_beside(settings: Settings) -> Iterator[str]:
    """Its connection string. An embedded PostgreSQL that is not running is started for as long as it takes.

    Raises `StartRefused` where there is none.
    """
    if settings.database is not None:
        yield settings.database.get_secret_value()
        return
    with existing_postgres(settings.data_dir) as embedded:
        yield embedded.dsn


def asked_beside(settings: Settings, ask: Callable[[str], Coroutine[Any, Any, T]]) -> T:
    """What `ask` finds out with the connection string. Raises `StartRefused` where there is none, or nobody answers."""
    with database_beside(settings) as dsn:
        try:
            return asyncio.run(ask(dsn))
        except SinkError as error:
            raise StartRefused(
                f"PostgreSQL at {shown_dsn(dsn)} cannot be asked: {error.reason}",
                remedy="start it, name the server's database with --database or --data-dir, or give the role what it lacks",
            ) from None
