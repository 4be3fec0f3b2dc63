"""The line that every queue has: what was put and is not settled stands ready, is at a worker, or waits aside."""

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar
from uuid import UUID

from ingest_server.model import BatchHead

T = TypeVar("T")


class Line(Generic[T]):
    """Batches by name, counted until they are removed. `T` is what a queue keeps for a batch."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[T | None] = asyncio.Queue()
        self._kept: dict[tuple[str, UUID], T] = {}
        self._aside: dict[tuple[str, UUID], asyncio.TimerHandle] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self.is_closed = False
        self.items = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, head: BatchHead) -> bool:
        return head.name in self._kept

    def __getitem__(self, head: BatchHead) -> T:
        return self._kept[head.name]

    @property
    def aside(self) -> int:
        """How many wait for their next try."""
        return len(self._aside)

    def add(self, head: BatchHead, kept: T) -> None:
        """Count a batch in; nobody takes it before it is `ready`."""
        self._kept[head.name] = kept
        self.items += head.total
        self.bytes += head.size
        self._empty.clear()

    def ready(self, head: BatchHead) -> None:
        """The batch may be taken."""
        self._ready.put_nowait(self._kept[head.name])

    def remove(self, head: BatchHead) -> None:
        """Count a batch out."""
        del self._kept[head.name]
        self.items -= head.total
        self.bytes -= head.size
        if not self._kept:
            self._empty.set()

    async def __aiter__(self) -> AsyncIterator[T]:
        """What is ready, in order, each to one taker. Ends after `close`."""
        while not self.is_closed:
            kept = await self._ready.get()
            if kept is None:
                self._ready.put_nowait(None)  # for the next taker
                return
            yield kept

    def set_aside(self, head: BatchHead, seconds: float) -> None:
        """The batch becomes ready again after so many seconds."""

        def ready() -> None:
            del self._aside[head.name]
            self.ready(head)

        self._aside[head.name] = asyncio.get_running_loop().call_later(seconds, ready)

    async def drain(self) -> None:
        """Return when there is no batch any more."""
        while self._kept:
            await self._empty.wait()

    def close(self) -> None:
        """End every iteration. What is still here stays."""
        self.is_closed = True
        for timer in self._aside.values():
            timer.cancel()
        self._aside.clear()
        self._ready.put_nowait(None)


class Lined(Generic[T]):
    """What every queue says of its line."""

    def __init__(self) -> None:
        self._line: Line[T] = Line()

    @property
    def batches(self) -> int:
        """Batches that were put and not yet acknowledged."""
        return len(self._line)

    @property
    def items(self) -> int:
        """Their items."""
        return self._line.items

    @property
    def bytes(self) -> int:
        """Their decoded bytes."""
        return self._line.bytes

    @property
    def set_aside_count(self) -> int:
        """Batches that wait for their next try."""
        return self._line.aside

    async def drain(self) -> None:
        """Return when every batch is acknowledged."""
        await self._line.drain()
