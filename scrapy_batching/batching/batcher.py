"""`Batcher`: single items in, calls of many items out. Free of Scrapy; the pipeline stands on the same core."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from scrapy_batching.batching.age import AgeTimer, Later, in_running_loop
from scrapy_batching.batching.arguments import require_items, require_result, require_usable
from scrapy_batching.batching.asking import Process
from scrapy_batching.batching.flights import Flight, Flights
from scrapy_batching.batching.growing import GrowingBatches, Growth
from scrapy_batching.batching.result import BatchResult, merged
from scrapy_batching.errors import BatcherClosed, LoopGone
from scrapy_batching.saying import logger_of

T = TypeVar("T")
R = TypeVar("R")

_LOG = logger_of(__name__)


class _Pile(list[T]):
    """The items of the one open batch."""

    def close(self, growth: Growth) -> tuple[T, ...]:  # noqa: ARG002 - asked for by the core
        return tuple(self)

    def discard(self) -> None:
        """A list takes everything."""


class Batcher(Generic[T, R]):
    """Gathers items and gives them to `process` many at a time: `batch_size` of them, or what came in `max_wait_time` seconds.

    `process` is called with a list of items and returns one outcome for each (see `Process`). With `auto_flush` a timer
    closes a batch by the age of its first item; without it only a full batch goes by itself. At most `concurrency` calls
    run at a time, in the order in which the batches were closed; None: any number.

    A result belongs to the call that closed the batch. What nobody waits for (the timer's batches, those of a cancelled
    `add`, the last one of `async with`) goes to `on_result`, a function or a coroutine function, or is kept for the next
    `flush` or `collect`. Nothing is lost: an item is in exactly one result, or in `pending_items`.

    Made without a loop, it belongs to the first in which it is used. Many tasks of that loop may use it, no other thread.
    Leaving `async with` sends what waits, after an exception too, and waits for all that is under way.
    `clock` gives seconds; `later` sets the timer. Raises TypeError or ValueError for arguments that cannot be.

    `process` must not use its own batcher, nor may a task of its own while it runs: it could wait for itself. That is refused
    with RuntimeError.
    """

    def __init__(
        self,
        process: Process[T, R],
        batch_size: int = 50,
        max_wait_time: float = 5.0,
        auto_flush: bool = True,
        *,
        concurrency: int | None = 1,
        on_result: Callable[[BatchResult[R, Any]], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        later: Later = in_running_loop,
    ) -> None:
        require_usable(process, batch_size, max_wait_time, auto_flush, concurrency=concurrency, on_result=on_result)
        self._size = batch_size
        self._wait = max_wait_time
        self._is_timed = auto_flush
        self._clock = clock
        self._open: GrowingBatches[None, T, tuple[T, ...]] = GrowingBatches(
            most_items=batch_size,
            most_bytes=sys.maxsize,
            most_age=max_wait_time,
            clock=clock,
            place=self._new_pile,
            spare=self._new_pile,
        )
        self._pile: _Pile[T] = _Pile()
        self._grounded: list[tuple[float, Sequence[T]]] = []
        self._flights: Flights[T, R] = Flights(
            process, concurrency=concurrency, on_result=on_result, grounded=self._ground
        )
        self._timer = AgeTimer(due_in=self._due_in, close_due=self._send_due, defect=self._defect, later=later)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    @property
    def pending_count(self) -> int:
        """How many items wait for their batch to be closed, or to go again after it was cancelled."""
        return self._open.items + sum(len(items) for _since, items in self._grounded)

    @property
    def in_flight_count(self) -> int:
        """How many items are in closed batches that have no result yet, or one that `on_result` is just told."""
        return self._flights.items

    @property
    def pending_items(self) -> tuple[T, ...]:
        """The items of `pending_count`, in their order; they stay. Also when the loop is gone."""
        grounded = tuple(item for _since, items in self._grounded for item in items)
        return (*grounded, *(self._pile if self._open.items else ()))

    async def add(self, item: T) -> BatchResult[R, T] | None:
        """Takes an item. Where it filled the batch: waits for that batch's result; else None at once.

        Who is cancelled here loses no item: the batch goes on. Raises BatcherClosed or LoopGone; the item was not taken then.
        """
        flight = self._take(item)
        if flight is None:
            return None
        (result,) = await self._flights.results([flight])
        return result

    async def add_batch(self, items: Iterable[T]) -> list[BatchResult[R, T]]:
        """Takes all items in their order, none of another task between them. The results of the batches that they filled.

        It takes them all before it waits: a stream without an end is for `add`. Raises as `add` does, and what `items`
        raises; those before that are taken.
        """
        require_items(items)
        flights: list[Flight[T, R]] = []
        try:
            for item in items:
                flight = self._take(item)
                if flight is not None:
                    flights.append(flight)
        except BaseException:
            self._flights.disown(flights)
            raise
        return await self._flights.results(flights)

    async def flush(self) -> BatchResult[R, T] | None:
        """Sends what waits now. One result of all that nobody has the result of yet; None if there is nothing.

        With `on_result`, what that is given is not in it, but told when this returns. Raises LoopGone.
        """
        self._require_use()
        return await self._send([*self._regrounded(), *self._open.close_all("close")])

    async def flush_if_needed(self) -> BatchResult[R, T] | None:
        """The same as `flush`, for what is `max_wait_time` old only."""
        self._require_use()
        return await self._send(self._due())

    async def retry(self, result: BatchResult[R, T]) -> BatchResult[R, T]:
        """Gives the failed items of a result to `process` again, at once and in batches of their own: their new result.

        Raises LoopGone.
        """
        require_result(result)
        self._require_use()
        items = [item for item, _error in result.failed]
        parts = [items[start : start + self._size] for start in range(0, len(items), self._size)]
        return merged(await self._flights.results([self._flights.begin(one, is_owned=True) for one in parts]))

    def collect(self) -> list[BatchResult[R, T]]:
        """The results that nobody waited for and that `on_result` did not take, each once. Empty if there are none."""
        return self._flights.collect()

    async def __aenter__(self) -> Self:
        self._require_use()
        self._is_closed = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closed = True
        batches = [*self._regrounded(), *self._open.close_all("close")]
        flights = [self._flights.begin(items, is_owned=False) for items in batches]
        await self._flights.landed()
        self._timer.rest()
        self._tell_pending("it was left")
        for flight in flights:
            flight.task.result()

    def __del__(self) -> None:
        # Not for one that was refused by its own __init__.
        if "_is_closed" in vars(self):
            self._tell_pending("it was let go of")

    def _new_pile(self, _key: None) -> _Pile[T]:
        self._pile = _Pile()
        return self._pile

    def _take(self, item: T) -> Flight[T, R] | None:
        self._require_use()
        if self._is_closed:
            raise BatcherClosed
        closed = self._open.add(None, item, 0)
        if closed:
            return self._flights.begin(closed[0], is_owned=True)
        if self._is_timed and self._timer.handle is None:
            self._timer.set()
        return None

    async def _send(self, batches: Iterable[Sequence[T]]) -> BatchResult[R, T] | None:
        begun = [self._flights.begin(items, is_owned=True) for items in batches]
        try:
            begun = [*await self._flights.unowned(), *begun]
        except BaseException:
            self._flights.disown(begun)
            raise
        results = await self._flights.results(begun)
        whole = [*self._flights.collect(), *results]
        return merged(whole) if whole else None

    def _send_due(self) -> None:
        for items in self._due():
            self._flights.begin(items, is_owned=False)

    def _due(self) -> list[Sequence[T]]:
        if self._grounded and self._grounded[0][0] + self._wait <= self._clock():
            return [*self._regrounded(), *self._open.close_due()]
        return [*self._open.close_due()]

    def _due_in(self) -> float | None:
        due = self._open.due_in()
        if not self._grounded:
            return due
        again = self._grounded[0][0] + self._wait - self._clock()
        return again if due is None else min(due, again)

    def _ground(self, items: Sequence[T]) -> None:
        """A batch that was cancelled itself goes again with the next flush, or when it waited its time once more."""
        self._grounded.append((self._clock(), items))
        if self._is_timed and not self._is_closed:
            self._timer.set()

    def _regrounded(self) -> list[Sequence[T]]:
        batches = [items for _since, items in self._grounded]
        self._grounded.clear()
        return batches

    def _require_use(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise LoopGone(self.pending_count)
        if self._flights.is_asking:
            raise RuntimeError(
                "process must not add to its own batcher, nor flush or retry: it could wait for itself; return an exception in"
                " the place of an item that is to go again, and give the result to retry"
            )

    def _defect(self, error: Exception) -> None:
        _LOG.error("closing a batch by its age failed: %r", error, exc_info=error)

    def _tell_pending(self, when: str) -> None:
        if self.pending_count:
            _LOG.error("a Batcher holds %d items when %s: take them from pending_items", self.pending_count, when)
