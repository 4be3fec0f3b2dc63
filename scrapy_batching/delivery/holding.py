"""Between the batcher and the wire: who holds the closed batches until they are delivered or stay on disk."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from scrapy_batching.batching.batch import Batch
from scrapy_batching.delivery.sender import Sender
from scrapy_batching.errors import SpoolFailed
from scrapy_batching.spool.crawl import Spool
from scrapy_batching.telemetry import Telemetry
from scrapy_batching.wire.answers import Delivered, ForLater, Outcome, Problem, Refused, TooLarge
from scrapy_batching.wire.fates import judged

REASON = "batching_delivery_failed"
"""The `finish_reason` of a crawl that was stopped here."""

_TELL_SECONDS = 10.0


class Delivery:
    """Holds every batch from `put` until the server has it or the spool has it; nothing else lets go of one.

    `connect` makes who sends them. `address` gives where a table's batches go. `released` is called with each batch that is
    let go, but `parked` with those that stay on disk for the next crawl though this one goes on. A batch's file goes when the
    server has all of it. `then` is BATCHING_ON_FAILURE and `deadline` BATCHING_DEADLINE, in seconds; `stop` closes the spider
    with a reason.
    """

    def __init__(
        self,
        connect: Callable[["Delivery"], Sender],
        spool: Spool,
        telemetry: Telemetry,
        *,
        address: Callable[[str], str],
        released: Callable[[Batch], None],
        parked: Callable[[Batch], None] = lambda _batch: None,
        then: str = "spool",
        deadline: float = 0.0,
        stop: Callable[[str], None] = lambda _reason: None,
        clock: Callable[[], float] = time.monotonic,
        tell_seconds: float = _TELL_SECONDS,
    ) -> None:
        self._sender = connect(self)
        self._spool = spool
        self._telemetry = telemetry
        self._address = address
        self._released = released
        self._parked = parked
        self._then = then
        self._deadline = deadline
        self._stop = stop
        self._clock = clock
        self._tell_seconds = tell_seconds
        self._held: dict[UUID, Batch] = {}
        self._parts: dict[Path, int] = {}
        """Of each file that was split: how many of its parts the server does not have yet."""
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._is_ending = False
        self._shortening: asyncio.Task[None] | None = None
        self.items = 0
        """How many items are held."""

    def put(self, batch: Batch) -> None:
        """Takes a closed batch and sees to it that it is sent. Needs the running loop."""
        self.hold(batch)
        if self._spool.has_long_tally and (self._shortening is None or self._shortening.done()):
            self._shortening = asyncio.create_task(self._shorten(), name="scrapy_batching tally")
        self._sender.send()

    def hold(self, batch: Batch) -> None:
        """Takes a closed batch without seeing to its sending: for a crawl whose loop is gone."""
        self._held[batch.id] = batch
        self.items += len(batch)
        self._is_empty.clear()
        self._sender.put(batch)

    def holds(self, batch: Batch) -> bool:
        """Whether it waits here: delivered or left to the spool, it does not any more."""
        return batch.id in self._held

    async def finish(self, within: float) -> None:
        """Returns when nothing is held: delivered, or after `within` seconds left in the spool."""
        give_up_at = self._clock() + within
        self._is_ending = True
        try:
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
        finally:
            self._is_ending = False

    async def stop(self) -> None:
        """Ends the sending; what it held is still held."""
        await self._sender.stop()
        if self._shortening is not None:
            await self._shortening

    def spool_rest(self, reason: str) -> None:
        """Leaves whatever is held in the spool. Blocking; needs no loop."""
        self._make_last(self._leave_rest(reason))

    async def settle(self, batch: Batch, outcome: Outcome) -> None:
        """Does what the server's last word on a batch asks for. Raises OSError or SpoolFailed where the disk would not."""
        match judged(outcome, len(batch)):
            case Delivered() as delivered:
                self._telemetry.delivered(batch, delivered)
                self._resolve(batch)
            case TooLarge():
                self._split(batch)
            case ForLater(problem, remedy):
                await self._leave([batch], f"{problem}; {remedy}" if remedy else str(problem), problem)
                self._stop_if_wanted(f"{batch.table}: {problem}")
            case Refused(problem):
                path = self._spool.refuse(batch, url=self._address(batch.table), problem=problem, reason=str(problem))
                self._telemetry.refused(batch, path, str(problem), problem)
                self._resolve(batch)

    async def disk_failed(self, batch: Batch, error: OSError | SpoolFailed) -> bool:
        """Whether the batch is to be tried again: the disk would not have what the server would not have."""
        if batch.part is not None and not batch.part.path.exists():
            # Somebody removed it: to try again would not bring it back.
            self._telemetry.lost(batch, SpoolFailed(batch.part.path, "the file is gone"))
            self._release(batch)
            return False
        self._spool.failed(error if isinstance(error, OSError) else OSError(error.reason))
        return True

    async def make_lasting(self, batch: Batch) -> None:
        """Flushes its file to the disk."""
        if batch.part is not None:
            await asyncio.to_thread(self._make_last, {batch.part.path})

    async def give_up(self, batches: list[Batch]) -> list[Batch]:
        """They were tried past the deadline. Those that the disk would not have, and that are to be tried again."""
        reason = f"not delivered within {self._deadline:g} s, BATCHING_DEADLINE"
        if self._then == "drop":
            for batch in batches:
                self._telemetry.gave_up(batch, reason)
                # What was counted as closed is taken back, or the crawl's totals would hold it twice.
                self._spool.count({"items": -len(batch), "dropped": len(batch)})
                self._resolve(batch)
            return []
        try:
            kept = await self._leave(batches, reason, None)
        except SpoolFailed as error:
            self._spool.failed(OSError(error.reason))
            return batches
        self._stop_if_wanted(reason)
        return [one for one in batches if one.id not in kept]

    def _stop_if_wanted(self, reason: str) -> None:
        if self._then == "stop" and not self._is_ending:
            self._telemetry.stops(reason)
            self._stop(REASON)

    async def _shorten(self) -> None:
        try:
            write, replace = self._spool.shorter_tally([one.id for one in self._held.values() if one.part is None])
            await asyncio.to_thread(write)
            replace()
        except OSError as error:
            self._spool.failed(error)

    def _split(self, batch: Batch) -> None:
        # Without an await between: a crawl that ends here must find the whole or both halves, never one and a half.
        halves = batch.halves()
        if batch.part is not None:
            path = self._spool.split(batch.part.path, None if batch.span is None else batch.id)
            self._parts[path] = self._parts.get(path, 1) + 1
            halves = halves[0].moved(path), halves[1].moved(path)
        del self._held[batch.id]
        self.items -= len(batch)
        for half in halves:
            self.hold(half)
        self._telemetry.split(batch)

    async def _leave(self, batches: list[Batch], reason: str, problem: Problem | None) -> set[UUID]:
        """Those that lie in the spool now, for the next crawl. Raises SpoolFailed where not even the first does."""
        kept: list[tuple[Batch, Path]] = []
        for batch in batches:
            try:
                kept.append((batch, self._spool.keep(batch)))
            except SpoolFailed as error:
                if not kept:
                    raise
                self._spool.failed(OSError(error.reason))
                break
        await asyncio.to_thread(self._make_last, {path for _, path in kept})
        for batch, path in kept:
            self._telemetry.kept(batch, path, reason, problem)
            self._let_go(batch)
            self._parked(batch)
        return {batch.id for batch, _ in kept}

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
        self.items -= len(batch)
        if not self._held:
            self._is_empty.set()
