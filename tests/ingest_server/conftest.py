"""A server for tests that leave it as they found it: started once, with tables of every test's own."""

import asyncio
import itertools
from collections.abc import Iterator

import asyncpg
import pytest

from ingest_server.postgres.embedded.embedded import EmbeddedPostgres
from tests.asking import Asker
from tests.conftest import dsn_of
from tests.running import RunningServer, running_server

_tables = itertools.count(1)


@pytest.fixture(scope="session")
def shared_database(postgres: EmbeddedPostgres) -> str:
    async def make() -> None:
        admin = await asyncpg.connect(postgres.dsn)
        await admin.execute("CREATE DATABASE shared TEMPLATE template_ingest")
        await admin.close()

    asyncio.run(make())
    return dsn_of(postgres, "shared")


@pytest.fixture(scope="session")
def shared_server(shared_database: str) -> Iterator[RunningServer]:
    with running_server("--database", shared_database, "--create-tables") as running:
        yield running


@pytest.fixture
def asker(shared_server: RunningServer) -> Asker:
    """Asks the shared server."""
    return Asker(shared_server.port)


@pytest.fixture
def table() -> str:
    """A table's name that no other test uses."""
    return f"table_{next(_tables)}"


@pytest.fixture
async def shared_sql(shared_database: str):
    connection = await asyncpg.connect(shared_database)
    yield connection
    await connection.close()
