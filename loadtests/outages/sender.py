"""Sends batches while PostgreSQL suffers, and remembers what the server took."""

import asyncio
import random
from uuid import UUID

import aiohttp
import orjson

from loadtests.outages.place import HOT, TABLES, Place

ITEMS = 50
_SENDERS = 4
_PAUSE_SECONDS = 0.03


class Sender:
    """`taken` are the ids of each table's items that were answered 202: the server has promised them."""

    def __init__(self, place: Place, seed: int) -> None:
        self._place = place
        self._chance = random.Random(seed)
        self._next = 0
        self._stopping = False
        self.taken: dict[str, set[int]] = {table: set() for table in TABLES}
        self.refused = 0

    async def run(self) -> None:
        """Send until `stop`. A batch that is not taken is sent again under its name."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_SENDERS):
                group.create_task(self._send())

    def stop(self) -> None:
        """End with the batches that are on their way."""
        self._stopping = True

    async def _send(self) -> None:
        while not self._stopping:
            table = self._chance.choice(TABLES)
            ids = range(self._next, self._next + ITEMS)
            self._next += ITEMS
            items = [{"id": number, "v": "x" * self._chance.randrange(200)} for number in ids]
            if table == "keyed":
                items += [{"id": key, "v": str(ids[0])} for key in HOT]
            body = b"".join(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE) for item in items)
            name = str(UUID(int=self._chance.getrandbits(128), version=4))
            while not self._stopping and not await self._is_taken(table, name, body):  # noqa: ASYNC110  a back-off
                await asyncio.sleep(_PAUSE_SECONDS)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _is_taken(self, table: str, name: str, body: bytes) -> bool:
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": name}
        try:
            url = f"{self._place.url}/v1/tables/{table}/batches"
            async with self._place.http.post(url, data=body, headers=headers) as answer:
                is_taken = answer.status in (200, 202, 207)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
        if is_taken:
            self.taken[table] |= {item["id"] for item in map(orjson.loads, body.splitlines()) if item["id"] >= 0}
        else:
            self.refused += 1
        return is_taken
