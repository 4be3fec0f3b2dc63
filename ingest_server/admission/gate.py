"""How much is worked on at the same time: batches, and the memory that they take while they are being written."""

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Callable

from ingest_server.model import Batch

# What a batch takes while it is decoded and written, in bytes for each byte of its body and for each value in it.
_PER_BYTE = 4
_PER_VALUE = 100
# Below it nobody counts: a batch so small never waits for memory.
_SMALL_BYTES = 2**20


class Gate:
    """Workers go through it with each batch.

    Small batches wait for their turn only while memory is out. Of large ones so many are worked on together as `most_bytes`
    holds by an estimate, and one at least; they take turns in the order of their coming.
    """

    def __init__(self, count: int, most_bytes: int) -> None:
        self._count = count
        self._most_bytes = most_bytes
        self._allowed = count
        self._active = 0
        self._weight = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._heavy = asyncio.Lock()

    @property
    def allowed(self) -> int:
        """How many batches may be worked on together now."""
        return self._allowed

    @property
    def weight(self) -> int:
        """Bytes that the large batches take which are being worked on, by an estimate."""
        return self._weight

    async def through(self, batches: AsyncIterable[Batch]) -> AsyncIterator[Batch]:
        """The batches, each taken only when one more may be worked on: what waits for that stays where it is."""
        async for batch in batches:
            yield batch
            await self._until(lambda: self._active < self._allowed)

    @contextlib.asynccontextmanager
    async def work(self, batch: Batch) -> AsyncIterator[None]:
        """Inside the block the batch is worked on."""
        weight = weight_of(batch.body)
        if weight:
            async with self._heavy:
                await self._until(lambda: self._active < self._allowed and not self._is_too_much(weight))
                self._begin(weight)
        else:
            await self._until(lambda: self._active < self._allowed)
            self._begin(0)
        try:
            yield
        finally:
            self._active -= 1
            self._weight -= weight
            self._wake()

    def halve(self) -> int:
        """Allow half as many as now; how many that is."""
        self._allowed = max(1, self._allowed // 2)
        return self._allowed

    def widen(self) -> int:
        """Allow twice as many as now, up to the number of workers; how many that is."""
        self._allowed = min(self._count, self._allowed * 2)
        self._wake()
        return self._allowed

    def _is_too_much(self, weight: int) -> bool:
        return bool(self._weight and self._weight + weight > self._most_bytes)

    def _begin(self, weight: int) -> None:
        self._active += 1
        self._weight += weight

    async def _until(self, may_go_on: Callable[[], bool]) -> None:
        while not may_go_on():
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)


def weight_of(body: bytes) -> int:
    """Bytes that a batch takes while it is written, by an estimate; 0 for small ones."""
    if len(body) <= _SMALL_BYTES:
        return 0
    return len(body) * _PER_BYTE + body.count(b",") * _PER_VALUE
