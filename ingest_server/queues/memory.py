"""The queue in memory: bounded by items and bytes, fast, and gone with the server."""

from collections.abc import AsyncIterator

from ingest_server.errors import Overloaded
from ingest_server.model import Ack, Batch, BatchHead
from ingest_server.queues.line import Lined


class MemoryQueue(Lined[Batch]):
    """`ingest_server.ports.BatchQueue` without a disk: an accepted batch lives as long as the process."""

    promise: Ack = "memory"

    def __init__(self, *, max_items: int, max_bytes: int) -> None:
        super().__init__()
        self._max_items = max_items
        self._max_bytes = max_bytes

    @property
    def held_bytes(self) -> int:
        """All of them: there is no other place."""
        return self._line.bytes

    @property
    def full(self) -> str | None:
        """Why nothing more is taken now, if so."""
        if self._line and self.items >= self._max_items:
            return f"the queue is full: {self.items} items wait"
        if self._line and self.bytes >= self._max_bytes:
            return f"the queue is full: {self.bytes} bytes wait"
        return None

    async def open(self) -> None:
        """Nothing was left by anyone."""

    async def put(self, batch: Batch) -> None:
        """Keep the batch. Raises `Overloaded` where it is full; an empty queue takes any one batch."""
        if self._line.is_closed:
            raise Overloaded("the server is shutting down")
        if self._line:
            if self.items + batch.total > self._max_items:
                raise Overloaded(f"the queue holds {self.items} items of at most {self._max_items}")
            if self.bytes + batch.size > self._max_bytes:
                raise Overloaded(f"the queue holds {self.bytes} bytes of at most {self._max_bytes}")
        self._line.add(batch, batch)
        self._line.ready(batch)

    async def __aiter__(self) -> AsyncIterator[Batch]:
        """Batches as they become ready, in the order of their coming. Ends after `close`."""
        async for batch in self._line:
            yield batch

    def set_aside(self, batch: BatchHead, seconds: float) -> None:
        """Give the batch back; it becomes ready again after so many seconds."""
        self._line.set_aside(batch, seconds)

    async def ack(self, batch: BatchHead) -> None:
        """The batch is settled: forget it."""
        self._line.remove(batch)

    async def close(self) -> None:
        """End every iteration."""
        self._line.close()
