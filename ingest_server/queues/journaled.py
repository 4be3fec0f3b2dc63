"""The queue on disk: a batch is in the journal, and fsynced, before anyone is told so. Memory holds what it has room for."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from ingest_server.errors import Overloaded
from ingest_server.model import Ack, Batch, BatchHead, TableName
from ingest_server.queues.files import Place, Placed, Unreadable
from ingest_server.queues.folder import JournalFolder
from ingest_server.queues.line import Lined
from ingest_server.queues.share import USUAL_SHARE, Share
from ingest_server.queues.writer import JournalWriter, Pace
from ingest_server.telemetry import Telemetry

# What a batch takes on disk at least, and a generous guess of what its head takes in memory.
_LEAST_BYTES = 4 * 2**10
_READ_AGAIN_SECONDS = 5.0


@dataclass(slots=True)
class _Entry:
    head: BatchHead
    place: Place | None = None
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait. What is in memory is bounded apart: past that a body stays on the disk until a worker takes it."""

    journal_bytes: int
    held_bytes: int
    held_items: int
    parked_share: Share = USUAL_SHARE


class JournaledQueue(Lined[_Entry]):
    """`ingest_server.ports.BatchQueue` that outlives the process: what was put comes back at the next start, or elsewhere."""

    promise: Ack = "journaled"

    def __init__(
        self,
        folder: JournalFolder,
        telemetry: Telemetry,
        bounds: Bounds,
        *,
        restored: Callable[[BatchHead], None],
        lost: Callable[[BatchHead], None],
        pace: Pace | None = None,
    ) -> None:
        # A batch on a siding may stay for days: its body waits on the disk.
        super().__init__(parked=self._let_go)
        self._telemetry = telemetry
        self._bounds = bounds
        self._tell_restored = restored
        self._tell_lost = lost
        self._writer = JournalWriter(folder, telemetry, adopted=self._adopted, pace=pace or Pace())
        self._behind: dict[tuple[str, UUID], list[_Entry]] = {}
        self._held_items = 0
        self.journal_bytes = 0
        """What waits, as the budget counts it."""
        self.held_bytes = 0

    @property
    def full(self) -> str | None:
        """Why nothing more is taken now, if so: the disk, or the budget."""
        if self._writer.failing is not None:
            return self._writer.failing
        if self._line and self.journal_bytes + _LEAST_BYTES > self._bounds.journal_bytes:
            return f"the journal is full: {self.journal_bytes} bytes wait, of at most {self._bounds.journal_bytes}"
        return None

    def share_is_taken(self, table: TableName, size: int = 0, items: int = 0) -> bool:  # noqa: ARG002  bytes are all
        """Whether a batch must be refused because its table is parked, and has its share of the journal."""
        if not self._line.sidings.is_parked(table):
            return False
        own, parked = self.waiting(table), self.parked
        return self._bounds.parked_share.is_taken(
            own.batches,
            own.bytes + own.batches * _LEAST_BYTES,
            parked.bytes + parked.batches * _LEAST_BYTES,
            size + _LEAST_BYTES,
            of=self._bounds.journal_bytes,
        )

    async def open(self) -> None:
        """Begin; what was left in the folder comes back now, later what others leave. Raises `StartRefused`."""
        await self._writer.open()

    async def put(self, batch: Batch) -> None:
        """Keep the batch; it is fsynced once this returns. Raises `Overloaded` where the journal is full or the disk fails."""
        if self._line.is_closed:
            raise Overloaded("the server is shutting down")
        if reason := self.full:
            raise Overloaded(reason)
        if self._line and self.journal_bytes + _charge(batch) > self._bounds.journal_bytes:
            raise Overloaded(
                f"the journal holds {self.journal_bytes} bytes of at most {self._bounds.journal_bytes}: "
                "there is no room for this batch"
            )
        entry = _Entry(batch.head)
        self._add(entry)
        try:
            entry.place = await self._writer.put(batch)
        except BaseException:
            self._remove(entry)
            self._bring_forward(entry.head)
            raise
        self._hold(entry, batch.body)
        self._line.ready(entry.head)

    async def __aiter__(self) -> AsyncIterator[Batch]:
        """Batches as they become ready, in the order of their coming. Ends after `close`."""
        async for entry in self._line:
            body = entry.body if entry.body is not None else await self._load(entry)
            if body is not None:
                yield entry.head.with_body(body)

    def set_aside(self, batch: BatchHead, seconds: float) -> None:
        """Give the batch back; it becomes ready again after so many seconds."""
        entry = self._line[batch]
        body = self._let_go(entry)
        if body is not None:
            self._hold(entry, body)
        self._line.set_aside(batch, seconds)

    async def ack(self, batch: BatchHead) -> None:
        """The batch is settled: forget it. The file forgets it a moment later; until then it may come again, and is absorbed."""
        entry = self._line[batch]
        assert entry.place is not None
        self._writer.forget(entry.place)
        self._remove(entry)
        for later in self._behind.pop(batch.name, ()):
            assert later.place is not None
            if (later.head.fingerprint, later.head.table) == (entry.head.fingerprint, entry.head.table):
                self._writer.forget(later.place)
            else:
                self._restore(later)

    async def close(self) -> None:
        """End every iteration, and close the journal. Batches that are still here stay in it, for the next start."""
        self._line.close()
        await self._writer.close()

    def _adopted(self, found: Sequence[Placed]) -> None:
        for place, head in found:
            self._restore(_Entry(head, place))

    def _restore(self, entry: _Entry) -> None:
        """Take up a batch from a file. One of the same name that is here already goes first."""
        if entry.head in self._line:
            self._behind.setdefault(entry.head.name, []).append(entry)
            return
        self._add(entry)
        self._tell_restored(entry.head)
        self._line.ready(entry.head)

    def _bring_forward(self, head: BatchHead) -> None:
        for later in self._behind.pop(head.name, ()):
            self._restore(later)

    async def _load(self, entry: _Entry) -> bytes | None:
        assert entry.place is not None
        try:
            body = await self._writer.load(entry.place, entry.head)
        except Unreadable as error:
            if error.is_lost:
                self._remove(entry)
                self._tell_lost(entry.head)
                self._bring_forward(entry.head)
            else:
                self._telemetry.journal_unreadable(entry.head, error.reason, _READ_AGAIN_SECONDS)
                self.set_aside(entry.head, _READ_AGAIN_SECONDS)
            return None
        self._take(entry, body)
        return body

    def _add(self, entry: _Entry) -> None:
        self._line.add(entry.head, entry)
        self.journal_bytes += _charge(entry.head)

    def _remove(self, entry: _Entry) -> None:
        self._let_go(entry)
        self._line.remove(entry.head)
        self.journal_bytes -= _charge(entry.head)

    def _hold(self, entry: _Entry, body: bytes) -> None:
        """Keep the body in memory if there is room; else it is read again from the journal."""
        head, bounds = entry.head, self._bounds
        if self.held_bytes + head.size <= bounds.held_bytes and self._held_items + head.total <= bounds.held_items:
            self._take(entry, body)

    def _take(self, entry: _Entry, body: bytes) -> None:
        entry.body = body
        self.held_bytes += entry.head.size
        self._held_items += entry.head.total

    def _let_go(self, entry: _Entry) -> bytes | None:
        body, entry.body = entry.body, None
        if body is not None:
            self.held_bytes -= entry.head.size
            self._held_items -= entry.head.total
        return body


def _charge(batch: BatchHead) -> int:
    return batch.size + _LEAST_BYTES
