from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestServer

from spiders.site import make_app


@pytest.fixture
async def site() -> AsyncIterator[TestServer]:
    """The sample site with 120 properties, on a port of its own."""
    async with TestServer(make_app(count=120, seed=7)) as server:
        yield server
