import asyncio
import atexit
from collections.abc import AsyncIterator

import pytest
from twisted.internet import asyncioreactor

from tests.scrapy_batching.crawls import HAS_REACTORLESS
from tests.scrapy_batching.fake_server import FakeServer, serving

if not HAS_REACTORLESS:
    # Such a Scrapy looks for asyncio at the reactor alone. Nobody runs this one: each test has a loop of its own.
    _loop = asyncio.new_event_loop()
    asyncioreactor.install(_loop)
    atexit.register(_loop.close)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    """A fake server that takes everything until it is told otherwise."""
    async with serving(FakeServer()) as running:
        yield running
