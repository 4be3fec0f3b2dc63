"""The journal's writer: one thread with the files. Whatever waits goes into one transaction and one fsync (group commit)."""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ingest_server.backoff import Backoff
from ingest_server.errors import Overloaded
from ingest_server.model import Batch, BatchHead
from ingest_server.queues.files import GROUP_BYTES, JournalFiles, Place, Placed, Unreadable
from ingest_server.queues.folder import JournalFolder
from ingest_server.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the writer does what nobody waits for, in seconds."""

    look: float = 5.0
    """Between two looks for files without an owner."""
    idle: float = 1.0
    """How long an acknowledgement waits for a transaction to ride with. A lost one is only a redelivery."""
    probe: Backoff = field(default_factory=lambda: Backoff(base=0.5, cap=5.0))
    """Between two tries on a disk that failed."""


@dataclass(slots=True)
class _Group:
    puts: list[tuple[Batch, "asyncio.Future[Place]"]] = field(default_factory=list)
    loads: list[tuple[Place, BatchHead, "asyncio.Future[bytes]"]] = field(default_factory=list)
    is_last: bool = False


_Operation = Callable[[_Group], int]


class JournalWriter:
    """Owns the thread. Its methods are for the event loop's thread, and hold nobody up."""

    def __init__(
        self,
        folder: JournalFolder,
        telemetry: Telemetry,
        *,
        adopted: Callable[[Sequence[Placed]], None],
        pace: Pace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._telemetry = telemetry
        self._tell_adopted = adopted
        self._pace = pace
        self._clock = clock
        self._files = JournalFiles(folder, telemetry, clock)
        self._operations: queue.SimpleQueue[_Operation] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened: asyncio.Future[None] | None = None
        self._group = _Group()
        self._look_at = self._flush_at = self._probe_at = 0.0
        self._failures = 0
        self.failing: str | None = None
        """Why nothing can be written now, if so."""

    async def open(self) -> None:
        """Start; returns when every file without an owner was looked at. Raises `StartRefused`."""
        self._folder.prepare()
        self._loop = asyncio.get_running_loop()
        self._opened = self._loop.create_future()
        self._thread.start()
        await self._opened

    def put(self, batch: Batch) -> "asyncio.Future[Place]":
        """Where the batch lies, once it is fsynced; `Overloaded` where the disk does not take it."""
        done: asyncio.Future[Place] = asyncio.get_running_loop().create_future()

        def operation(group: _Group) -> int:
            group.puts.append((batch, done))
            return batch.size

        self._operations.put(operation)
        return done

    def load(self, place: Place, head: BatchHead) -> "asyncio.Future[bytes]":
        """The batch's body; `Unreadable` where it cannot be had."""
        done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def operation(group: _Group) -> int:
            group.loads.append((place, head, done))
            return head.size

        self._operations.put(operation)
        return done

    def forget(self, place: Place) -> None:
        """The batch is settled. Written with the next transaction, or a little later."""

        def operation(_: _Group) -> int:
            if not self._files.has_settled:
                self._flush_at = self._clock() + self._pace.idle
            self._files.settle(place)
            return 0

        self._operations.put(operation)

    async def close(self) -> None:
        """Finish what was asked for, and end the thread. Files in which batches wait stay."""
        if not self._thread.is_alive():  # it was never opened
            return

        def operation(group: _Group) -> int:
            group.is_last = True
            return GROUP_BYTES

        self._operations.put(operation)
        await asyncio.to_thread(self._thread.join)

    # From here on: the writer's own thread.

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:
            self.failing = "the journal's writer died: the server's log says why"
            self._telemetry.worker_died("journal", error)
            self._refuse_everything()

    def _work(self) -> None:
        self._try(self._files.probe)
        self._look()
        assert self._opened is not None
        self._resolve([(self._opened, None)])
        while not self._group.is_last:
            group = self._group = self._gather()
            self._write(group)
            self._resolve([(done, self._read(place, head)) for place, head, done in group.loads])
            if not group.is_last and self._clock() >= self._look_at:
                self._look()
        self._files.close()

    def _gather(self) -> _Group:
        """What waits, or nothing where something else is due first."""
        group = _Group()
        due = [self._look_at]
        if self.failing is not None:
            due.append(self._probe_at)
        elif self._files.has_settled:
            due.append(self._flush_at)
        taken = 0
        try:
            taken += self._operations.get(timeout=max(0.0, min(due) - self._clock()))(group)
            while taken < GROUP_BYTES:
                taken += self._operations.get_nowait()(group)
        except queue.Empty:
            return group
        return group

    def _write(self, group: _Group) -> None:
        if self.failing is not None and not self._is_well_again(group):
            self._refuse(group)
            return
        is_due = self._files.has_settled and (self._clock() >= self._flush_at or group.is_last)
        if not (group.puts or is_due):
            return
        places = self._try(lambda: self._files.commit([batch for batch, _ in group.puts]))
        if places is None:
            self._refuse(group)
            return
        self._resolve([(done, place) for (_, done), place in zip(group.puts, places, strict=True)])
        if is_due:
            is_done = self._files.flush()
            self._flush_at = self._clock() + (self._pace.idle if is_done else self._pace.probe.cap)
            while self._operations.empty() and not group.is_last and self._try(self._files.shrink):
                pass  # an outage left much room, and nobody waits

    def _is_well_again(self, group: _Group) -> bool:
        if self._clock() < self._probe_at and not group.is_last:
            return False
        self._files.start_anew()
        self._try(self._files.probe)
        return self.failing is None

    def _try(self, write: Callable[[], Any]) -> Any:
        """What it returns, or None where the disk failed. Either is told of once."""
        try:
            result = write()
        except (sqlite3.Error, OSError) as error:
            self._failed(error)
            return None
        if self.failing is not None:
            self.failing, self._failures = None, 0
            self._telemetry.journal_well()
        return result

    def _failed(self, error: Exception) -> None:
        self.failing = f"the journal's disk: {error}"
        self._probe_at = self._clock() + self._pace.probe.seconds(self._failures, lambda _low, high: high)
        if self._failures == 0:
            self._telemetry.journal_failing(self._folder.path, str(error))
        self._failures += 1

    def _read(self, place: Place, head: BatchHead) -> object:
        try:
            return self._files.read(place, head)
        except Unreadable as error:
            return error

    def _look(self) -> None:
        """Adopt what others left. A disk that takes nothing can still be read: what is settled makes room on it."""
        assert self._loop is not None
        self._look_at = self._clock() + self._pace.look
        try:
            for found in self._files.look(may_write=self.failing is None):
                self._loop.call_soon_threadsafe(self._tell_adopted, found)
        except (sqlite3.Error, OSError) as error:
            self._failed(error)

    def _refuse(self, group: _Group) -> None:
        self._resolve([(done, Overloaded(str(self.failing))) for _, done in group.puts])

    def _refuse_everything(self) -> None:
        """Nobody waits for an answer that never comes."""
        assert self._opened is not None
        self._resolve([(self._opened, None)])
        while True:
            self._refuse(self._group)
            lost = Unreadable(str(self.failing), is_lost=False)
            self._resolve([(done, lost) for _, _, done in self._group.loads])
            if self._group.is_last:
                return
            self._group = _Group()
            self._operations.get()(self._group)

    def _resolve(self, results: "Sequence[tuple[asyncio.Future[Any], object]]") -> None:
        assert self._loop is not None
        if results:
            self._loop.call_soon_threadsafe(_set_results, results)


def _set_results(results: "Sequence[tuple[asyncio.Future[Any], object]]") -> None:
    for done, result in results:
        if done.done():  # whoever asked was cancelled
            continue
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)
