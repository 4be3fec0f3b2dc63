"""The queue in memory: bounded by items and bytes, fast, and gone with the server."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

from ingest_server.errors import Overloaded
from ingest_server.model import Ack, Batch, BatchHead


class MemoryQueue:
    """`ingest_server.ports.BatchQueue` without a disk: an accepted batch lives as long as the process."""

    promise: Ack = "memory"

    def __init__(self, *, max_items: int, max_bytes: int) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._ready: asyncio.Queue[Batch | None] = asyncio.Queue()
        self._kept: dict[tuple[str, UUID], Batch] = {}
        self._aside: dict[tuple[str, UUID], asyncio.TimerHandle] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = False
        self.items = 0
        self.bytes = 0

    @property
    def batches(self) -> int:
        """Batches that were put and not yet acknowledged."""
        return len(self._kept)

    @property
    def held_bytes(self) -> int:
        """All of them: there is no other place."""
        return self.bytes

    @property
    def full(self) -> str | None:
        """Why nothing more is taken now, if so."""
        if self._kept and self.items >= self._max_items:
            return f"the queue is full: {self.items} items wait"
        if self._kept and self.bytes >= self._max_bytes:
            return f"the queue is full: {self.bytes} bytes wait"
        return None

    @property
    def set_aside_count(self) -> int:
        """Batches that wait for their next try."""
        return len(self._aside)

    async def open(self) -> None:
        """Nothing was left by anyone."""

    async def put(self, batch: Batch) -> None:
        """Keep the batch. Raises `Overloaded` where it is full; an empty queue takes any one batch."""
        if self._closed:
            raise Overloaded("the server is shutting down")
        if self._kept:
            if self.items + batch.total > self._max_items:
                raise Overloaded(f"the queue holds {self.items} items of at most {self._max_items}")
            if self.bytes + batch.size > self._max_bytes:
                raise Overloaded(f"the queue holds {self.bytes} bytes of at most {self._max_bytes}")
        self._kept[batch.name] = batch
        self.items += batch.total
        self.bytes += batch.size
        self._empty.clear()
        self._ready.put_nowait(batch)

    async def __aiter__(self) -> AsyncIterator[Batch]:
        """Batches as they become ready, in the order of their coming. Ends after `close`."""
        while not self._closed:
            batch = await self._ready.get()
            if batch is None:
                self._ready.put_nowait(None)  # for the next taker
                return
            yield batch

    def set_aside(self, batch: BatchHead, seconds: float) -> None:
        """Give the batch back; it becomes ready again after so many seconds."""
        name = batch.name

        def ready() -> None:
            del self._aside[name]
            self._ready.put_nowait(self._kept[name])

        self._aside[name] = asyncio.get_running_loop().call_later(seconds, ready)

    async def ack(self, batch: BatchHead) -> None:
        """The batch is settled: forget it."""
        del self._kept[batch.name]
        self.items -= batch.total
        self.bytes -= batch.size
        if not self._kept:
            self._empty.set()

    async def drain(self) -> None:
        """Return when every batch is acknowledged."""
        await self._empty.wait()

    async def close(self) -> None:
        """End every iteration."""
        self._closed = True
        for timer in self._aside.values():
            timer.cancel()
        self._aside.clear()
        self._ready.put_nowait(None)
