"""The closed batches of a `Batcher` that are under way, and the results that nobody waits for."""

import asyncio
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from scrapy_batching.batching.asking import Process, ask, is_within
from scrapy_batching.batching.result import BatchResult
from scrapy_batching.saying import logger_of

T = TypeVar("T")
R = TypeVar("R")

_LOG = logger_of(__name__)
_MANY = 1000


class Flight(Generic[T, R]):
    """One batch under way. `is_owned`: somebody waits for its result."""

    __slots__ = ("is_owned", "items", "task")

    def __init__(self, items: Sequence[T], *, is_owned: bool) -> None:
        self.items = items
        self.is_owned = is_owned
        self.task: asyncio.Task[BatchResult[R, T]]


class Flights(Generic[T, R]):
    """At most `concurrency` calls of `process` at a time, in the order in which the batches began; None: any number.

    Each batch has a task of its own: who waits for it may be cancelled, the batch is not. A result that nobody waits for
    is given to `on_result` or, without that or where it failed, kept until `collect`. Items of a batch that was cancelled
    itself are given to `grounded`.
    """

    def __init__(
        self,
        process: Process[T, R],
        *,
        concurrency: int | None,
        on_result: Callable[[BatchResult[R, T]], object] | None,
        grounded: Callable[[Sequence[T]], None],
    ) -> None:
        self._process = process
        self._slots = None if concurrency is None else asyncio.Semaphore(concurrency)
        self._on_result = on_result
        self._grounded = grounded
        self._flights: set[Flight[T, R]] = set()
        self._telling: set[asyncio.Task[None]] = set()
        self._tellers: set[asyncio.Task[Any] | None] = set()
        self._kept: list[BatchResult[R, T]] = []
        self._told_at = _MANY

    @property
    def is_asking(self) -> bool:
        """Whether this runs within a call of `process`, which would wait for itself here."""
        return is_within(self)

    @property
    def items(self) -> int:
        """How many items are under way."""
        return sum(len(one.items) for one in self._flights if not one.task.done())

    def begin(self, items: Sequence[T], *, is_owned: bool) -> Flight[T, R]:
        """Sends a batch on its way, in the loop that runs."""
        flight: Flight[T, R] = Flight(items, is_owned=is_owned)
        flight.task = asyncio.create_task(self._fly(flight), name="scrapy_batching Batcher batch")
        self._flights.add(flight)
        flight.task.add_done_callback(lambda _task: self._flights.discard(flight))
        return flight

    async def results(self, flights: Iterable[Flight[T, R]]) -> list[BatchResult[R, T]]:
        """Their results in this order, once all are there. Who is cancelled meanwhile leaves all of them unowned."""
        flights = tuple(flights)
        try:
            return [await asyncio.shield(flight.task) for flight in flights]
        except BaseException:
            self.disown(flights)
            raise

    def disown(self, flights: Iterable[Flight[T, R]]) -> None:
        """Nobody waits for these any more."""
        for flight in flights:
            flight.is_owned = False
            if flight.task.done() and not flight.task.cancelled() and flight.task.exception() is None:
                self._leave(flight.task.result())

    async def unowned(self) -> list[Flight[T, R]]:
        """Takes over what nobody waits for yet; with `on_result` waits until those are told instead."""
        flights = [one for one in self._flights if not one.is_owned and not one.task.done()]
        if self._on_result is None:
            for flight in flights:
                flight.is_owned = True
            return flights
        if asyncio.current_task() in self._tellers:
            # Asked by on_result: it would wait for itself.
            return []
        waiting = {*self._telling, *(one.task for one in flights)}
        if waiting:
            await asyncio.wait(waiting)
        return []

    async def landed(self) -> None:
        """Waits until nothing is under way."""
        while waiting := {*self._telling, *(one.task for one in self._flights)}:
            await asyncio.wait(waiting)
            # Its callbacks, by which it is forgotten, come after the waking of who waits for it.
            await asyncio.sleep(0)

    def collect(self) -> list[BatchResult[R, T]]:
        """What was kept, in the order of its ends; it is not kept any longer."""
        kept, self._kept = self._kept, []
        self._told_at = _MANY
        return kept

    async def _fly(self, flight: Flight[T, R]) -> BatchResult[R, T]:
        try:
            if self._slots is None:
                result = await ask(self._process, flight.items, asker=self)
            else:
                async with self._slots:
                    result = await ask(self._process, flight.items, asker=self)
        except BaseException:
            self._grounded(flight.items)
            raise
        if not flight.is_owned:
            await self._hand_over(result)
        return result

    def _leave(self, result: BatchResult[R, T]) -> None:
        """The result of a batch that was done before its owner let go of it."""
        if self._on_result is None:
            self._keep(result)
            return
        task = asyncio.create_task(self._hand_over(result), name="scrapy_batching Batcher result")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _hand_over(self, result: BatchResult[R, T]) -> None:
        if self._on_result is None:
            self._keep(result)
            return
        teller = asyncio.current_task()
        self._tellers.add(teller)
        try:
            answer = self._on_result(result)
            if inspect.isawaitable(answer):
                await answer
        except Exception:
            _LOG.exception("on_result failed: the result of %d items is kept for collect()", result.total_items)
            self._kept.append(result)
        except BaseException:
            self._kept.append(result)
            raise
        finally:
            self._tellers.discard(teller)

    def _keep(self, result: BatchResult[R, T]) -> None:
        self._kept.append(result)
        if result.failed:
            _LOG.warning(
                "%d of %d items of a batch that nobody waited for failed, the first with %r: take them with collect(), or"
                " give the Batcher an on_result",
                result.failure_count,
                result.total_items,
                result.failed[0][1],
            )
        if len(self._kept) >= self._told_at:
            self._told_at *= 2
            _LOG.warning(
                "%d results wait in memory: take them with collect(), or give the Batcher an on_result", len(self._kept)
            )
