"""The queue in memory: bounded by items and bytes, fast, and gone with the server."""

from collections.abc import AsyncIterator

from ingest_server.errors import Overloaded
from ingest_server.model import Ack, Batch, BatchHead, TableName
from ingest_server.queues.line import Lined
from ingest_server.queues.share import USUAL_SHARE, Share


class MemoryQueue(Lined[Batch]):
    """`ingest_server.ports.BatchQueue` without a disk: an accepted batch lives as long as the process."""

    promise: Ack = "memory"

    def __init__(self, *, max_items: int, max_bytes: int, parked_share: Share = USUAL_SHARE) -> None:
        super().__init__()
        self._share = parked_share
        self._max_items = max_items
        self._max_bytes = max_bytes

    @property
    def held_bytes(self) -> int:
        """All of them: there is no other place."""
        return self.bytes

    @property
    def full(self) -> str | None:
        """Why nothing more is taken now, if so."""
        if self._line and self.items >= self._max_items:
            return f"the queue is full: {self.items} items wait"
        if self._line and self.bytes >= self._max_bytes:
            return f"the queue is full: {self.bytes} bytes wait"
        return None

    def share_is_taken(self, table: TableName, size: int = 0, items: int = 0) -> bool:
        """Whether a batch must be refused because its table is parked, and has its share of the room."""
        if not self._line.sidings.is_parked(table):
            return False
        own, parked = self.waiting(table), self.parked
        return self._share.is_taken(own.batches, own.bytes, parked.bytes, size, of=self._max_bytes) or (
            self._share.is_taken(own.batches, own.items, parked.items, items, of=self._max_items)
        )

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
