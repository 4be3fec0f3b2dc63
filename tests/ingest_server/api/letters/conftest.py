from collections.abc import AsyncIterator

import pytest

from tests.asking import Asker
from tests.ingest_server.api.letters.asking_letters import Letters
from tests.ingest_server.postgres.stores import Store, store_over


@pytest.fixture
def letters(asker: Asker) -> Letters:
    """The shared server's dead letters."""
    return Letters(asker)


@pytest.fixture
async def things(shared_sql, table: str) -> str:
    """A table without a key, whose price must be a number above zero: what is stored twice is there twice."""
    await shared_sql.execute(f"CREATE TABLE {table} (name text NOT NULL, price numeric CHECK (price > 0))")
    return table


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """A sink with four connections over the test's own database."""
    async with store_over(database) as store:
        yield store
