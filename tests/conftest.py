"""One PostgreSQL for the whole run, and a fresh database for each test that wants one."""

import asyncio
import itertools
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from ingest_server.postgres.embedded.embedded import EmbeddedPostgres, temporary_postgres
from ingest_server.postgres.ledger.schema import migrate
from tests.running import RunningServer, running_server

_numbers = itertools.count(1)

# A shell starts what runs in its background with SIGINT ignored, nohup with SIGHUP, and every child would ignore it too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _no_journal_in_the_working_directory() -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="ingest-journal-") as path, pytest.MonkeyPatch.context() as patch:
        patch.setenv("INGEST_JOURNAL_DIR", path)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A real server. What a test commits need not survive a power loss, so fsync is off."""
    with temporary_postgres({"fsync": "off", "max_connections": "200"}) as server:

        async def make_template() -> None:
            connection = await asyncpg.connect(server.dsn)
            await connection.execute("CREATE DATABASE template_ingest")
            await connection.close()
            connection = await asyncpg.connect(dsn_of(server, "template_ingest"))
            await migrate(connection)
            await connection.close()

        asyncio.run(make_template())
        yield server


def dsn_of(server: EmbeddedPostgres, database: str) -> str:
    return server.dsn.replace("/postgres?", f"/{database}?")


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The connection string of a database that no other test sees, with the ledger's schema in it."""
    name = f"test_{next(_numbers)}"
    admin = await asyncpg.connect(postgres.dsn)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE template_ingest")
    yield dsn_of(postgres, name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def sql(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the test's database."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
def server(database: str) -> Iterator[RunningServer]:
    """The real server as a process of its own over the test's database, with landing tables allowed."""
    with running_server("--database", database, "--create-tables") as running:
        yield running


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def reachable_path() -> Iterator[Path]:
    """A directory that the account of an embedded PostgreSQL can reach too: pytest's own belong to their user alone."""
    path = Path(tempfile.mkdtemp(prefix="ingest-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)
