from collections.abc import AsyncIterator

import pytest

from tests.ingest_server.postgres.stores import Store, store_over


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """A sink with four connections over the test's database, no models and no options."""
    async with store_over(database) as store:
        yield store
