"""Honest clients: small batches, one after the other, sent again under the same name until they are committed."""

import asyncio
import contextlib
import itertools
import time
from collections import Counter

import aiohttp
import orjson

TABLE = "honest"
ITEMS = 200
CLIENTS = 4
_AGAIN = (408, 409, 429, 502, 503, 504)
_MOST_WAITED = 2.0


class Honest:
    """Clients that send for as long as they run. `batches` were named, `committed` items were answered as committed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count(1)
        self.named = 0
        self.committed = 0
        self.seen: Counter[str] = Counter()
        self.is_over = False

    async def run(self) -> None:
        """Until `is_over`, and then until what was named is committed."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=90)) as http:
            await asyncio.gather(*(self._client(http) for _ in range(CLIENTS)))

    async def _client(self, http: aiohttp.ClientSession) -> None:
        while not self.is_over:
            number = next(self._numbers)
            self.named += 1
            rows = [{"batch": number, "place": place, "text": "x" * 100} for place in range(ITEMS)]
            body = b"\n".join(map(orjson.dumps, rows))
            while not await self._sent(http, number, body):
                pass

    async def _sent(self, http: aiohttp.ClientSession, number: int, body: bytes) -> bool:
        headers = {
            "Content-Type": "application/x-ndjson",
            "Idempotency-Key": f"honest-{number}",
            "Prefer": "wait=60",
        }
        pause = 0.2
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with http.post(f"{self._url}/v1/tables/{TABLE}/batches", data=body, headers=headers) as answer:
                self.seen[str(answer.status)] += 1
                if answer.status == 200:
                    self.committed += (await answer.json())["succeeded"]
                    return True
                pause = min(_MOST_WAITED, float(answer.headers.get("Retry-After", pause)))
        await asyncio.sleep(pause)
        return False


class Rate:
    """Items a second since it was made."""

    def __init__(self, honest: Honest) -> None:
        self._honest = honest
        self._before = honest.committed
        self._began = time.monotonic()

    @property
    def items_per_second(self) -> float:
        return (self._honest.committed - self._before) / (time.monotonic() - self._began)
