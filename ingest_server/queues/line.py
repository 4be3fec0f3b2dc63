"""The line that every queue has: what was put and is not settled stands ready, is at a worker, or waits aside."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar
from uuid import UUID

from ingest_server.model import BatchHead, TableName
from ingest_server.ports import Tally
from ingest_server.queues.sidings import Sidings

T = TypeVar("T")


class Line(Generic[T]):
    """Batches by name, counted until they are removed. `T` is what a queue keeps for a batch.

    `parked` is told of what goes onto a siding, where it may stay for days.
    """

    def __init__(self, parked: Callable[[T], object] = id) -> None:
        self._ready: asyncio.Queue[BatchHead | None] = asyncio.Queue()
        self._kept: dict[tuple[str, UUID], T] = {}
        self._aside: dict[tuple[str, UUID], asyncio.TimerHandle] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._tell_parked = parked
        self.sidings = Sidings()
        self.is_closed = False
        self.total = Tally()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, head: BatchHead) -> bool:
        return head.name in self._kept

    def __getitem__(self, head: BatchHead) -> T:
        return self._kept[head.name]

    @property
    def aside(self) -> int:
        """How many wait for their next try, or for their table."""
        return len(self._aside) + self.sidings.waiting

    def add(self, head: BatchHead, kept: T) -> None:
        """Count a batch in; nobody takes it before it is `ready`."""
        self._kept[head.name] = kept
        self.total.add(head)
        self.sidings.tally(head.table).add(head)
        self._empty.clear()

    def ready(self, head: BatchHead) -> None:
        """The batch may be taken, unless its table is parked: then it waits aside."""
        if self.sidings.takes(head):
            self._tell_parked(self._kept[head.name])
        else:
            self._ready.put_nowait(head)

    def remove(self, head: BatchHead) -> None:
        """Count a batch out."""
        del self._kept[head.name]
        self.total.remove(head)
        self.sidings.forget(head)
        if not self._kept:
            self._empty.set()

    async def __aiter__(self) -> AsyncIterator[T]:
        """What is ready, in order, each to one taker. Ends after `close`."""
        while not self.is_closed:
            head = await self._ready.get()
            if head is None:
                self._ready.put_nowait(None)  # for the next taker
                return
            if self.sidings.takes(head):  # the table was parked while it stood ready
                self._tell_parked(self._kept[head.name])
            else:
                yield self._kept[head.name]

    def set_aside(self, head: BatchHead, seconds: float) -> None:
        """The batch becomes ready again after so many seconds; one of a parked table once its table goes on."""
        if self.sidings.is_parked(head.table):
            self.ready(head)
            return

        def ready() -> None:
            del self._aside[head.name]
            self.ready(head)

        self._aside[head.name] = asyncio.get_running_loop().call_later(seconds, ready)

    def probe(self, table: TableName) -> None:
        """Let one batch of the parked table through: the one that waited longest, or the next that comes."""
        head = self.sidings.let_one_through(table)
        if head is not None:
            self._ready.put_nowait(head)

    def resume(self, table: TableName) -> None:
        """Let the table's batches go on, in the order in which they wait."""
        for head in self.sidings.resume(table):
            self._ready.put_nowait(head)

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

    def __init__(self, parked: Callable[[T], object] = id) -> None:
        self._line: Line[T] = Line(parked)

    @property
    def batches(self) -> int:
        """Batches that were put and not yet acknowledged."""
        return len(self._line)

    @property
    def items(self) -> int:
        """Their items."""
        return self._line.total.items

    @property
    def bytes(self) -> int:
        """Their decoded bytes."""
        return self._line.total.bytes

    @property
    def set_aside_count(self) -> int:
        """Batches that wait for their next try, or for their table."""
        return self._line.aside

    @property
    def parked(self) -> Tally:
        """What is here of parked tables."""
        return self._line.sidings.parked

    def waiting(self, table: TableName) -> Tally:
        """What is here of this table."""
        return self._line.sidings.of(table)

    def park(self, table: TableName) -> None:
        """From now on the table's batches wait aside, those that come too; one that a worker has is not stopped."""
        self._line.sidings.park(table)

    def probe(self, table: TableName) -> None:
        """Let one batch of a parked table through: the one that waited longest, or the next that comes."""
        self._line.probe(table)

    def resume(self, table: TableName) -> None:
        """Let the table's batches go on."""
        self._line.resume(table)

    async def drain(self) -> None:
        """Return when every batch is acknowledged."""
        await self._line.drain()
