"""Who is next: a lane for each table, in turn. What is done for a batch costs the same however many tables there are."""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from scrapy_batching.batching.batch import Batch
from scrapy_batching.wire.client import Progress


@dataclass(slots=True, eq=False)
class Waiting:
    """A batch that waits for its turn. Times are in seconds of one clock."""

    batch: Batch
    put_at: float
    tries: int = 0
    first_try_at: float | None = None
    """When it was first sent."""
    progress: Progress = field(default_factory=Progress)
    is_lasting: bool = False
    """Whether its file was flushed to the disk."""
    round: int = 0


@dataclass(slots=True, eq=False)
class _Lane:
    table: str
    fresh: deque[Waiting] = field(default_factory=deque)
    again: deque[Waiting] = field(default_factory=deque)
    """Those that were tried and go before the fresh ones."""
    was_again: bool = False
    under_way: int = 0
    is_queued: bool = False
    due: float = 0.0
    troubled_since: float | None = None
    tries: int = 0
    round: int = 0

    def __len__(self) -> int:
        return len(self.fresh) + len(self.again)

    def may_send(self, now: float) -> bool:
        """Whether one of it may go out: a table in trouble has one at a time, which finds out how it does."""
        return bool(len(self)) and (self.troubled_since is None or (now >= self.due and not self.under_way))

    def pop(self) -> Waiting:
        # In turn: one batch that always fails must not be the only one that is ever tried.
        self.was_again = bool(self.again) and not (self.was_again and self.fresh)
        return (self.again if self.was_again else self.fresh).popleft()


class Lanes:
    """The batches that wait, by table.

    For every one that `take` gives `ended` is called, and `back`, `aside` or `rest` before or after that if it is to wait on.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._turns: deque[_Lane] = deque()
        self._due: list[tuple[float, int, _Lane]] = []
        self._aside: list[tuple[float, int, Waiting]] = []
        self._count = count()

    def put(self, waiting: Waiting) -> None:
        """A new one, behind those of its table."""
        lane = self._lane(waiting)
        lane.fresh.append(waiting)
        self._queue(lane)

    def take(self, now: float) -> Waiting | None:
        """The next one that may be sent now; tables take turns."""
        while self._aside and self._aside[0][0] <= now:
            self.back(heapq.heappop(self._aside)[2])
        while self._due and self._due[0][0] <= now:
            self._queue(heapq.heappop(self._due)[2])
        while self._turns:
            lane = self._turns.popleft()
            lane.is_queued = False
            if lane.may_send(now):
                waiting = lane.pop()
                waiting.round = lane.round
                lane.under_way += 1
                self._queue(lane)
                return waiting
        return None

    def due_at(self) -> float | None:
        """When something may be sent that may not now; None: nothing waits for its time."""
        firsts = [heap[0][0] for heap in (self._aside, self._due) if heap]
        return min(firsts, default=None)

    def ended(self, waiting: Waiting) -> None:
        """It is not on its way any more."""
        lane = self._lane(waiting)
        lane.under_way -= 1
        self._queue(lane)

    def back(self, waiting: Waiting) -> None:
        """To the head of its table's."""
        lane = self._lane(waiting)
        lane.again.append(waiting)
        self._queue(lane)

    def aside(self, waiting: Waiting, due: float) -> None:
        """Until `due`, when it goes to the head; the others of its table do not wait for it."""
        heapq.heappush(self._aside, (due, next(self._count), waiting))

    def trouble(self, waiting: Waiting) -> int | None:
        """The table takes nothing: how often in a row by now; None if that was known when it was sent. To be given a time."""
        lane = self._lane(waiting)
        if waiting.round != lane.round:
            return None
        lane.round += 1
        lane.tries += 1
        return lane.tries

    def rest(self, waiting: Waiting, now: float, due: float) -> bool:
        """Its table waits until `due`, and it at the table's head. Whether the table was well before."""
        lane = self._lane(waiting)
        was_well = lane.troubled_since is None
        if was_well:
            lane.troubled_since = now
        lane.due = max(lane.due, due)
        heapq.heappush(self._due, (lane.due, next(self._count), lane))
        lane.again.append(waiting)
        return was_well

    def works(self, waiting: Waiting) -> bool:
        """The table took something. Whether it did not before."""
        lane = self._lane(waiting)
        was_troubled = lane.troubled_since is not None
        lane.troubled_since, lane.tries, lane.due = None, 0, 0.0
        lane.round += was_troubled
        self._queue(lane)
        return was_troubled

    def tried_so_long(self, now: float, seconds: float, away_since: float | None) -> tuple[list[Waiting], float | None]:
        """Takes out those that have been tried for so many seconds; and when the next one will have been, None: nobody yet.

        The time of one that was never sent counts from when the server (`away_since`) or its table took nothing.
        """
        found: list[Waiting] = []
        nexts: list[float] = []

        def is_over(since: float) -> bool:
            if now < since + seconds:
                nexts.append(since + seconds)
            return now >= since + seconds

        for lane in self._lanes.values():
            over: list[Waiting] = []
            left = deque[Waiting]()
            for one in lane.again:
                (over if is_over(_since(one)) else left).append(one)
            found += over
            lane.again = left
            since = min((one for one in (lane.troubled_since, away_since) if one is not None), default=None)
            # In the order in which they came: the first that is not over is the next.
            while since is not None and lane.fresh and is_over(max(since, lane.fresh[0].put_at)):
                found.append(lane.fresh.popleft())
        kept = []
        for entry in self._aside:
            if is_over(_since(entry[2])):
                found.append(entry[2])
            else:
                kept.append(entry)
        heapq.heapify(kept)
        self._aside = kept
        return found, min(nexts, default=None)

    def __iter__(self) -> Iterator[Waiting]:
        """All that wait."""
        for lane in self._lanes.values():
            yield from lane.again
            yield from lane.fresh
        for _, _, waiting in self._aside:
            yield waiting

    def _lane(self, waiting: Waiting) -> _Lane:
        table = waiting.batch.table
        try:
            return self._lanes[table]
        except KeyError:
            lane = self._lanes[table] = _Lane(table)
            return lane

    def _queue(self, lane: _Lane) -> None:
        if len(lane) and not lane.is_queued:
            lane.is_queued = True
            self._turns.append(lane)


def _since(waiting: Waiting) -> float:
    return waiting.put_at if waiting.first_try_at is None else waiting.first_try_at
