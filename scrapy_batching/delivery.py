"""Between the batcher and the wire: who holds the closed batches until they are delivered or stay on disk."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from scrapy_batching.batcher import Batch
from scrapy_batching.errors import SpoolFailed
from scrapy_batching.spool.crawl import Spool
from scrapy_batching.telemetry import Telemetry
from scrapy_batching.wire.answers import Delivered, ForLater, Outcome, Problem, Refused, TooLarge
from scrapy_batching.wire.client import Client
from scrapy_batching.wire.fates import judged

_TELL_SECONDS = 10.0
_AGAIN_SECONDS = 10.0


class Delivery:
    """Holds every batch from `put` until the server has it or the spool has it; nothing else lets go of one.

    `senders` tasks send at a time; they start with the first batch. `address` gives where a table's batches go, and
    `released` is called with each batch that is let go, but `parked` with those that stay on disk for the next crawl though
    this one goes on. A batch's file goes when the server has all of it.
    """

    def __init__(
        self,
        client: Client,
        spool: Spool,
        telemetry: Telemetry,
        *,
        senders: int,
        address: Callable[[str], str],
        released: Callable[[Batch], None],
        parked: Callable[[Batch], None] = lambda _batch: None,
        clock: Callable[[], float] = time.monotonic,
        tell_seconds: float = _TELL_SECONDS,
        again_seconds: float = _AGAIN_SECONDS,
    ) -> None:
        self._client = client
        self._spool = spool
        self._telemetry = telemetry
        self._most_senders = senders
        self._address = address
        self._released = released
        self._parked = parked
        self._clock = clock
        self._tell_seconds = tell_seconds
        self._again_seconds = again_seconds
        self._held: dict[UUID, Batch] = {}
        self._tried: set[UUID] = set()
        self._parts: dict[Path, int] = {}
        """Of each file that was split: how many of its parts the server does not have yet."""
        self._queue: asyncio.Queue[Batch] = asyncio.Queue()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._senders: list[asyncio.Task[None]] = []
        self._shortening: asyncio.Task[None] | None = None

    @property
    def items(self) -> int:
        """How many items are held."""
        return sum(map(len, self._held.values()))

    def put(self, batch: Batch) -> None:
        """Takes a closed batch and sees to it that it is sent. Needs the running loop."""
        self.hold(batch)
        if self._spool.has_long_tally and (self._shortening is None or self._shortening.done()):
            self._shortening = asyncio.create_task(self._shorten(), name="scrapy_batching tally")
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
        """Returns when nothing is held: delivered, or after `within` seconds left in the spool."""
        give_up_at = self._clock() + within
        while self._held and (left := give_up_at - self._clock()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_empty.wait(), min(left, self._tell_seconds))
            if self._held and give_up_at > self._clock():
                self._telemetry.closing(self.items, give_up_at - self._clock())
        if self._held:
            # Stopped first, or a batch could be delivered while it is counted as undelivered.
            await self.stop()
            files = self._leave_rest("the server did not take it before the crawl's end")
            await asyncio.to_thread(self._make_last, files)

    async def stop(self) -> None:
        """Ends the sending tasks; what they held is still held."""
        senders, self._senders = self._senders, []
        for one in senders:
            one.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
        if self._shortening is not None:
            await self._shortening

    async def _shorten(self) -> None:
        try:
            write, replace = self._spool.shorter_tally([one.id for one in self._held.values() if one.part is None])
            await asyncio.to_thread(write)
            replace()
        except OSError as error:
            self._spool.failed(error)

    def spool_rest(self, reason: str) -> None:
        """Leaves whatever is held in the spool. Blocking; needs no loop."""
        self._make_last(self._leave_rest(reason))

    async def _send(self) -> None:
        while True:
            batch = await self._queue.get()
            # The spool may have taken it while it stood in the queue.
            if batch.id in self._held:
                await self._deliver(batch)

    async def _deliver(self, batch: Batch) -> None:
        try:
            match judged(await self._outcome(batch), len(batch)):
                case Delivered() as outcome:
                    self._telemetry.delivered(batch, outcome)
                    self._resolve(batch)
                case TooLarge():
                    self._split(batch)
                case ForLater(problem):
                    await self._leave(batch, problem)
                case Refused(problem):
                    self._refuse(batch, str(problem), problem)
        except (OSError, SpoolFailed) as error:
            if batch.part is not None and not batch.part.path.exists():
                # Somebody removed it: to try again would not bring it back.
                self._telemetry.lost(batch, SpoolFailed(batch.part.path, "the file is gone"))
                self._release(batch)
                return
            self._spool.failed(error if isinstance(error, OSError) else OSError(error.reason))
            self._again(batch)

    async def _outcome(self, batch: Batch) -> Outcome:
        async def waits() -> None:
            if batch.part is not None:
                await asyncio.to_thread(self._make_last, {batch.part.path})

        try:
            return await self._client.deliver(batch, was_tried=batch.id in self._tried, waits=waits)
        except OSError:
            raise
        except Exception as error:
            self._telemetry.defect("sending a batch", error)
            return ForLater(Problem(0, type(error).__name__, "a defect of scrapy-batching"))

    def _again(self, batch: Batch) -> None:
        """The disk would not have what the server would not have: it stays in memory, and both are tried again."""
        self._tried.add(batch.id)
        asyncio.get_running_loop().call_later(self._again_seconds, self._queue.put_nowait, batch)

    def _split(self, batch: Batch) -> None:
        # Without an await between: a crawl that ends here must find the whole or both halves, never one and a half.
        halves = batch.halves()
        if batch.part is not None:
            path = self._spool.split(batch.part.path, None if batch.span is None else batch.id)
            self._parts[path] = self._parts.get(path, 1) + 1
            halves = halves[0].moved(path), halves[1].moved(path)
        del self._held[batch.id]
        for half in halves:
            self.hold(half)
        self._telemetry.split(batch)

    def _refuse(self, batch: Batch, reason: str, problem: Problem) -> None:
        where = self._spool.refuse(batch, url=self._address(batch.table), problem=problem, reason=reason)
        self._telemetry.refused(batch, where, reason, problem)
        self._resolve(batch)

    async def _leave(self, batch: Batch, problem: Problem) -> None:
        path = self._spool.keep(batch)
        await asyncio.to_thread(self._make_last, {path})
        self._telemetry.kept(batch, path, str(problem), problem)
        self._let_go(batch)
        self._parked(batch)

    def _leave_rest(self, reason: str) -> set[Path]:
        files = set()
        for batch in tuple(self._held.values()):
            try:
                path = self._spool.keep(batch)
            except SpoolFailed as error:
                self._telemetry.lost(batch, error)
            else:
                files.add(path)
                self._telemetry.kept(batch, path, reason, None)
            self._release(batch)
        return files

    def _make_last(self, files: set[Path]) -> None:
        try:
            self._spool.sync(files)
        except SpoolFailed as error:
            # It is on disk all the same, and only a power loss could take it.
            self._telemetry.defect("flushing the spool to the disk", error)

    def _resolve(self, batch: Batch) -> None:
        """Nobody needs the batch any more, nor its file once that is true of all its parts."""
        if batch.part is not None:
            path = batch.part.path
            parts = self._parts.pop(path, 1) - 1
            if parts:
                self._parts[path] = parts
            else:
                self._spool.done(path)
        self._release(batch)

    def _release(self, batch: Batch) -> None:
        self._let_go(batch)
        self._released(batch)

    def _let_go(self, batch: Batch) -> None:
        del self._held[batch.id]
        self._tried.discard(batch.id)
        if not self._held:
            self._is_empty.set()
