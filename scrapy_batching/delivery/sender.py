"""Sends what waits: as many at once as the pace says, tables in turn, nobody held up by another's trouble. Keeps no batch."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from scrapy_batching.batching.batch import Batch
from scrapy_batching.delivery.lanes import Lanes, Waiting
from scrapy_batching.delivery.pace import Pace
from scrapy_batching.errors import SpoolFailed
from scrapy_batching.telemetry import Telemetry
from scrapy_batching.wire.answers import ForLater, InMemory, Outcome, Problem, TryAgain
from scrapy_batching.wire.backoff import full_jitter, pause_before
from scrapy_batching.wire.breaker import Try
from scrapy_batching.wire.client import Client
from scrapy_batching.wire.way import Link, Way

_LEAST_SECONDS = 0.001
"""Of a timer: a clock that stands still would turn the loop into a spinning one."""


class Custody(Protocol):
    """Who holds the batches."""

    def holds(self, batch: Batch) -> bool:
        """Whether it is still theirs."""

    async def settle(self, batch: Batch, outcome: Outcome) -> None:
        """The server's last word on it. Raises OSError or SpoolFailed where the disk would not have it."""

    async def disk_failed(self, batch: Batch, error: OSError | SpoolFailed) -> bool:
        """The disk would not. Whether the batch is to be tried again."""

    async def make_lasting(self, batch: Batch) -> None:
        """It has to wait: what is on the disk shall survive a power loss."""

    async def give_up(self, batches: list[Batch]) -> list[Batch]:
        """They were tried for too long. Those that nobody could let go of, and that are to be tried again."""


class Sender:
    """One crawl's. `deadline` in seconds: for so long a batch is tried, 0 for ever; `again_seconds` after the disk failed.

    A task for each batch that is on its way, none for those that wait. Needs a running loop from the first `put` on.
    """

    def __init__(
        self,
        client: Client,
        link: Link,
        way: Way,
        telemetry: Telemetry,
        custody: Custody,
        *,
        pace: Pace,
        deadline: float = 0.0,
        again_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float], float] = full_jitter,
    ) -> None:
        self._client = client
        self._breaker = link.breaker
        self._way = way
        self._telemetry = telemetry
        self._custody = custody
        self._pace = pace
        self._deadline = deadline
        self._again_seconds = again_seconds
        self._clock = clock
        self._jitter = jitter
        self._lanes = Lanes()
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._rest_until = 0.0
        self._rests = 0
        self._wakes: asyncio.TimerHandle | None = None
        self._looks: asyncio.TimerHandle | None = None
        self._is_sending = False
        self._was_away = False
        self._breaker.hears(self._server_changed)

    def put(self, batch: Batch) -> None:
        """One more that waits, behind those of its table. Sent by the next `send`."""
        self._lanes.put(Waiting(batch, self._clock()))

    def send(self) -> None:
        """Sends what may be sent now, and sees to the rest by itself from now on."""
        self._is_sending = True
        self._pump()

    async def stop(self) -> None:
        """Ends what is on its way. Everything that waits goes on waiting, for another `send`."""
        self._is_sending = False
        for timer in (self._wakes, self._looks):
            if timer is not None:
                timer.cancel()
        self._wakes = self._looks = None
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _pump(self) -> None:
        if not self._is_sending:
            return
        now = self._clock()
        while self._has_room() and now >= self._rest_until and self._breaker.allows():
            waiting = self._lanes.take(now)
            if waiting is None:
                break
            if self._custody.holds(waiting.batch):
                self._begin(waiting)
            else:
                self._lanes.ended(waiting)
        self._set_timer(now)

    def _has_room(self) -> bool:
        # A probe goes out although others hang that went out before it.
        return self._breaker.is_open or self._under_way < self._pace.now

    def _begin(self, waiting: Waiting) -> None:
        self._under_way += 1
        one, round_ = self._breaker.begin(), self._pace.begun(self._under_way)
        self._telemetry.under_way(self._pace.now, self._pace.highest)
        task = asyncio.create_task(
            self._one(waiting, one, round_), name=f"scrapy_batching sender {waiting.batch.table}"
        )
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, waiting, one))

    def _ended(self, waiting: Waiting, one: Try, task: asyncio.Task[None]) -> None:
        # Here and not in the task: one that is cancelled before its first step never runs a line.
        self._tasks.discard(task)
        self._under_way -= 1
        self._lanes.ended(waiting)
        if task.cancelled():
            self._lanes.back(waiting)
        elif error := task.exception():
            self._telemetry.defect(
                "seeing to a batch", error if isinstance(error, Exception) else Exception(str(error))
            )
            self._lanes.aside(waiting, self._clock() + self._again_seconds)
        self._breaker.abandoned(one)
        self._pump()

    async def _one(self, waiting: Waiting, one: Try, round_: int) -> None:
        if waiting.first_try_at is None:
            waiting.first_try_at = self._clock()
        batch = waiting.batch
        try:
            verdict = await self._verdict(waiting, one)
            self._judge(verdict, round_)
            if isinstance(verdict, TryAgain):
                await self._again(waiting, verdict)
            elif isinstance(verdict, InMemory):
                # It waits for us on its side; the pause is for a server that does not.
                seconds = max(verdict.retry_after, self._jitter(self._way.retry_base))
                self._lanes.aside(waiting, self._clock() + seconds)
            else:
                if self._lanes.works(waiting):
                    self._telemetry.table_works(batch.table)
                await self._custody.settle(batch, verdict)
        except (OSError, SpoolFailed) as error:
            if await self._custody.disk_failed(batch, error):
                self._lanes.aside(waiting, self._clock() + self._again_seconds)

    async def _verdict(self, waiting: Waiting, one: Try) -> Outcome | InMemory | TryAgain:
        try:
            return await self._client.attempt(waiting.batch, waiting.progress, one)
        except OSError:
            raise
        except Exception as error:
            self._telemetry.defect("sending a batch", error)
            return ForLater(Problem(0, type(error).__name__, "a defect of scrapy-batching"))

    def _judge(self, verdict: Outcome | InMemory | TryAgain, round_: int) -> None:
        if not isinstance(verdict, TryAgain):
            self._rests = 0
            self._pace.took(self._under_way)
        elif verdict.slows:
            self._pace.slowed(round_)

    async def _again(self, waiting: Waiting, why: TryAgain) -> None:
        batch = waiting.batch
        waiting.tries += 1
        self._telemetry.again(why.reason)
        if not waiting.is_lasting:
            waiting.is_lasting = True
            await self._custody.make_lasting(batch)
        now = self._clock()
        if self._deadline and waiting.first_try_at is not None:
            over_at = waiting.first_try_at + self._deadline
            if now >= over_at:
                await self._give_up([waiting])
                return
            self._look_at(over_at)
        if why.whose == "table":
            self._table_troubled(waiting, why, now)
        elif why.whose == "rate":
            self._rests += 1
            self._rest_until = max(self._rest_until, now + self._seconds(self._rests, why))
            self._lanes.back(waiting)
        elif why.whose == "server" and self._breaker.is_open:
            self._lanes.back(waiting)
        else:
            if why.page and why.whose == "batch":
                self._telemetry.dislikes(batch.table, why.reason)
            self._lanes.aside(waiting, now + self._seconds(waiting.tries, why))

    def _table_troubled(self, waiting: Waiting, why: TryAgain, now: float) -> None:
        tries = self._lanes.trouble(waiting)
        if tries is None:
            self._lanes.back(waiting)
            return
        if self._lanes.rest(waiting, now, now + self._seconds(tries, why)):
            self._telemetry.table_waits(waiting.batch.table, why.reason)
            self._look_at(now + self._deadline)

    def _server_changed(self) -> None:
        if self._was_away and not self._breaker.is_open:
            self._pace.restart()
        elif self._breaker.is_open and not self._was_away:
            self._look_at(self._clock() + self._deadline)
        self._was_away = self._breaker.is_open
        self._pump()

    def _seconds(self, tries: int, why: TryAgain) -> float:
        way = self._way
        return pause_before(
            tries, base=way.retry_base, most=way.retry_max, at_least=why.retry_after, jitter=self._jitter
        )

    def _set_timer(self, now: float) -> None:
        """For the next moment at which something may be sent that may not now; the end of a try pumps by itself."""
        if self._wakes is not None:
            self._wakes.cancel()
            self._wakes = None
        if not self._has_room() or (self._breaker.is_open and self._breaker.is_probing):
            return
        earliest = max(self._rest_until, self._breaker.next_at if self._breaker.is_open else 0.0)
        if earliest <= now:
            due = self._lanes.due_at()
            if due is None:
                return
            earliest = due
        elif next(iter(self._lanes), None) is None:
            return
        self._wakes = asyncio.get_running_loop().call_later(max(earliest - now, _LEAST_SECONDS), self._pump)

    def _look_at(self, when: float) -> None:
        """Looks then for batches that were tried for too long, or earlier."""
        if not self._deadline or not self._is_sending:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + max(when - self._clock(), _LEAST_SECONDS)
        if self._looks is not None:
            if self._looks.when() <= at:
                return
            self._looks.cancel()
        self._looks = loop.call_at(at, self._look)

    def _look(self) -> None:
        self._looks = None
        found, next_at = self._lanes.tried_so_long(self._clock(), self._deadline, self._breaker.away_since)
        if next_at is not None:
            self._look_at(next_at)
        if found:
            task = asyncio.create_task(self._give_up(found), name="scrapy_batching deadline")
            self._tasks.add(task)
            task.add_done_callback(partial(self._gave_up, found))

    def _gave_up(self, ones: list[Waiting], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is not None:
            for one in ones:
                self._lanes.back(one)

    async def _give_up(self, ones: list[Waiting]) -> None:
        held = {one.batch.id: one for one in ones if self._custody.holds(one.batch)}
        due = self._clock() + self._again_seconds
        for batch in await self._custody.give_up([one.batch for one in held.values()]):
            self._lanes.aside(held[batch.id], due)
