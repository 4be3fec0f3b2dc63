"""A plain HTTP sender, no crawl: takes the server at its word, and only at that.

`python -m loadtests.faults.sender URL CRAWL WITNESS ITEMS`. A batch is taken when the answer says that it is on disk or
committed; until then it is sent again under its name, for as long as it takes. SIGTERM ends it between batches.
"""

import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import orjson

from loadtests.faults.sequence import item
from loadtests.faults.witness import TAKEN, YIELDED, Witness
from scrapy_batching.names import uuid7

_BATCH = 250  # fewer than the servers take in the round where crawls have to split theirs
_SENDERS = 2
_PAUSE_SECONDS = 0.2
_AGAIN = {408, 409, 429, 500, 502, 503, 504}


class Sender:
    """Sends batches of a crawl, each to one table."""

    def __init__(self, http: aiohttp.ClientSession, url: str, crawl: str, witness: Witness, items: int) -> None:
        self._http = http
        self._url = url
        self._crawl = crawl
        self._seen = witness.bytes
        self._items = items
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stopping.set)
        rest = self._batches()
        async with asyncio.TaskGroup() as group:
            for number in range(_SENDERS):
                group.create_task(self._work(rest), name=f"sender-{number}")

    def _batches(self) -> Iterator[tuple[str, range]]:
        for first in range(0, self._items, 2 * _BATCH):
            last = min(first + 2 * _BATCH, self._items)
            yield "plain", range(first, last, 2)
            yield "keyed", range(first + 1, last, 2)

    async def _work(self, rest: Iterator[tuple[str, range]]) -> None:
        for table, indices in rest:
            if self._stopping.is_set():
                return
            if indices:
                await self._send(table, indices)

    async def _send(self, table: str, indices: range) -> None:
        for index in indices:
            self._seen[index] = YIELDED
        lines = [orjson.dumps(item(self._crawl, index), option=orjson.OPT_APPEND_NEWLINE) for index in indices]
        headers = {
            "Content-Type": "application/x-ndjson",
            "Idempotency-Key": str(uuid7()),
            "Ingest-Crawl": self._crawl,
        }
        body = b"".join(lines)
        while not await self._is_kept(table, body, headers):
            # what is in memory only is asked for again, with patience for the commit
            headers["Prefer"] = "wait=10"
            await asyncio.sleep(_PAUSE_SECONDS)
        for index in indices:
            self._seen[index] = TAKEN

    async def _is_kept(self, table: str, body: bytes, headers: dict[str, str]) -> bool:
        try:
            async with self._http.post(f"{self._url}/v1/tables/{table}/batches", data=body, headers=headers) as answer:
                said = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
        if answer.status in (200, 202, 207):
            try:
                return orjson.loads(said)["ack"] in ("journaled", "committed")
            except (ValueError, KeyError, TypeError):
                return False  # half an answer, or somebody else's
        if answer.status in _AGAIN:
            return False
        raise SystemExit(f"a batch was refused: {answer.status} {said[:500]!r}")


async def _main(url: str, crawl: str, witness: str, items: str) -> None:
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        await Sender(http, url, crawl, Witness(Path(witness)), int(items)).run()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
