"""A few questions to the server, each asked once: no retries, and an end to waiting."""

from typing import Self

import aiohttp
from yarl import URL

from scrapy_batching.wire.answers import Answer, TryAgain
from scrapy_batching.wire.trouble import no_answer
from scrapy_batching.wire.way import Way

_MOST_AT_ONCE = 8
_MOST_BYTES = 8 << 20
"""Of one answer: whatever is at the other end may never stop."""


class Questions:
    """Asks along the way. What has no answer within `seconds` of the asking has none; leaving closes the connections."""

    def __init__(self, way: Way, *, seconds: float) -> None:
        self._way = way
        self._seconds = seconds

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_MOST_AT_ONCE, ssl=self._way.tls or True),
            timeout=aiohttp.ClientTimeout(total=self._seconds),
            headers=self._way.every,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str) -> Answer | TryAgain:
        """What the server says of a path of the contract."""
        return await self._ask("GET", self._way.address(path), {})

    async def send_nothing(self, table: str) -> Answer | TryAgain:
        """What the server says to a batch without items for a table: of the table and the token, and it keeps nothing."""
        return await self._ask("POST", self._way.batches(table), {"Content-Type": "application/x-ndjson"})

    async def _ask(self, method: str, address: str, headers: dict[str, str]) -> Answer | TryAgain:
        try:
            async with self._session.request(
                method, URL(address, encoded=True), data=b"", headers=headers, allow_redirects=False
            ) as response:
                answer = Answer(response.status, response.headers, await _beginning(response.content))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return no_answer(error, self._seconds, self._way)
        return Answer(answer.status, answer.headers, self._way.without_secrets(answer.body))


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    found = bytearray()
    while len(found) < _MOST_BYTES and (piece := await content.readany()):
        found += piece
    return bytes(found)
