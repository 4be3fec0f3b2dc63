"""Between the batcher and the wire: who holds the closed batches until they are delivered or on disk."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

from scrapy_batching.answers import Delivered, ForLater, Problem, Refused, TooLarge
from scrapy_batching.batcher import Batch
from scrapy_batching.client import Client
from scrapy_batching.errors import SpoolFailed
from scrapy_batching.spool import Kind, Spool
from scrapy_batching.telemetry import Telemetry


class Delivery:
    """Holds every batch from `put` until the server has it or the spool has it; nothing else lets go of one.

    `senders` tasks send at a time; they start with the first batch. `address` gives where a table's batches go, and
    `released` is called with the items and bytes of each batch that is let go.
    """

    def __init__(
        self,
        client: Client,
        spool: Spool,
        telemetry: Telemetry,
        *,
        senders: int,
        address: Callable[[str], str],
        released: Callable[[int, int], None],
    ) -> None:
        self._client = client
        self._spool = spool
        self._telemetry = telemetry
        self._most_senders = senders
        self._address = address
        self._released = released
        self._held: dict[UUID, Batch] = {}
        self._queue: asyncio.Queue[Batch] = asyncio.Queue()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._senders: list[asyncio.Task[None]] = []

    @property
    def items(self) -> int:
        """How many items are held."""
        return sum(map(len, self._held.values()))

    def put(self, batch: Batch) -> None:
        """Takes a closed batch and sees to it that it is sent. Needs the running loop."""
        self.hold(batch)
        self._senders = [one for one in self._senders if not one.done()]
        while len(self._senders) < self._most_senders:
            name = f"scrapy_batching sender {len(self._senders) + 1}"
            self._senders.append(asyncio.create_task(self._send(), name=name))

    def hold(self, batch: Batch) -> None:
        """Takes a closed batch without seeing to its sending: for a crawl whose loop is gone."""
        self._held[batch.id] = batch
        self._is_empty.clear()
        self._queue.put_nowait(batch)

    async def finish(self, within: float) -> None:
        """Returns when nothing is held: delivered, or after `within` seconds written to the spool."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_empty.wait(), within)
        if self._held:
            # Stopped first, or a batch could be delivered while it is written as undelivered.
            await self.stop()
            self.spool_rest("the server did not take it before the crawl's end")

    async def stop(self) -> None:
        """Ends the sending tasks; what they held is still held."""
        senders, self._senders = self._senders, []
        for one in senders:
            one.cancel()
        await asyncio.gather(*senders, return_exceptions=True)

    def spool_rest(self, reason: str) -> None:
        """Writes whatever is held to the spool. Blocking; needs no loop."""
        for batch in tuple(self._held.values()):
            self._keep(batch, "waiting", reason, None)

    async def _send(self) -> None:
        while True:
            batch = await self._queue.get()
            # The spool may have taken it while it stood in the queue.
            if batch.id in self._held:
                await self._deliver(batch)

    async def _deliver(self, batch: Batch) -> None:
        try:
            outcome = await self._client.deliver(batch)
        except Exception as error:
            self._telemetry.defect("sending a batch", error)
            outcome = ForLater(Problem(0, type(error).__name__, "a defect of scrapy-batching"))
        match outcome:
            case Delivered(total=total) if total != len(batch):
                # Some of it never arrived, or arrived as something else: what was sent must not be let go of.
                said = f"the server counted {total} of {len(batch)} items: look for a proxy that changes bodies"
                self._keep(batch, "refused", said, Problem(200, "counts differ", said))
            case Delivered():
                self._telemetry.delivered(batch, outcome)
                self._release(batch)
            case TooLarge() if len(batch) > 1:
                self._split(batch)
            case ForLater(problem):
                self._keep(batch, "waiting", str(problem), problem)
            case TooLarge(problem) | Refused(problem):
                self._keep(batch, "refused", str(problem), problem)

    def _split(self, batch: Batch) -> None:
        # Without an await between: a crawl that ends here must find the whole or both halves, never one and a half.
        del self._held[batch.id]
        for half in batch.halves():
            self.hold(half)
        self._telemetry.split(batch)

    def _keep(self, batch: Batch, kind: Kind, reason: str, problem: Problem | None) -> None:
        try:
            where = self._spool.keep(batch, kind, url=self._address(batch.table), problem=problem, reason=reason)
        except SpoolFailed as error:
            self._telemetry.lost(batch, error)
        else:
            self._telemetry.kept(batch, kind, where, reason, problem)
        self._release(batch)

    def _release(self, batch: Batch) -> None:
        del self._held[batch.id]
        self._released(len(batch), batch.size)
        if not self._held:
            self._is_empty.set()
