from collections.abc import AsyncIterator

import pytest

from tests.scrapy_batching.fake_server import FakeServer, serving


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    """A fake server that takes everything until it is told otherwise."""
    async with serving(FakeServer()) as running:
        yield running
