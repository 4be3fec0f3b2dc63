"""Who may come in now: bytes are accounted as they arrive, memory is watched, and a refusal says when to come back."""

import math
import random
from collections import deque
from collections.abc import Callable

import psutil

from ingest_server.errors import Overloaded, TooLarge
from ingest_server.ports import BatchQueue

_WINDOW_SECONDS = 30.0
_MEMORY_LOOK_SECONDS = 0.25
_SHUTTING_DOWN = "the server is shutting down"


class DrainRate:
    """How many bytes a second were settled lately, while there was something to settle."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._settled: deque[tuple[float, float, int]] = deque()
        self._seconds = 0.0
        self._bytes = 0
        self._last = -math.inf

    def drained(self, size: int, *, since: float) -> None:
        """So many bytes were settled now, after work that began at `since`. Time in which nobody worked is not counted."""
        now = self.clock()
        seconds = now - max(since, self._last)
        self._last = now
        self._settled.append((now, seconds, size))
        self._seconds += seconds
        self._bytes += size
        self._forget(now)

    @property
    def bytes_per_second(self) -> float:
        """Over the last 30 seconds; 0 where nothing was settled."""
        self._forget(self.clock())
        return self._bytes / max(0.001, self._seconds) if self._settled else 0.0

    @property
    def remembered(self) -> int:
        """How many batches of these seconds it keeps in mind, whether or not anybody asks for the rate."""
        return len(self._settled)

    def _forget(self, now: float) -> None:
        while self._settled and self._settled[0][0] < now - _WINDOW_SECONDS:
            _, seconds, size = self._settled.popleft()
            self._seconds -= seconds
            self._bytes -= size


class Memory:
    """Resident memory of this process, looked at four times a second at most."""

    def __init__(self, clock: Callable[[], float], limit: int) -> None:
        self.limit = limit
        self._clock = clock
        self._process = psutil.Process()
        self._seen = -math.inf
        self._resident = 0

    @property
    def resident(self) -> int:
        """Bytes."""
        if self._clock() - self._seen >= _MEMORY_LOOK_SECONDS:
            self._resident = self._process.memory_info().rss
            self._seen = self._clock()
        return self._resident


class Room:
    """What one request may take: bytes are taken as they arrive, and given back when the batch is in the queue or refused."""

    def __init__(self, admission: "Admission") -> None:
        self._admission = admission
        self.taken = 0

    def take(self, size: int) -> None:
        """Account for so many more bytes. Raises `Overloaded` where there is no room for them."""
        self._admission.take(size, has=self.taken)
        self.taken += size

    def give_back(self) -> None:
        """Everything that was taken."""
        self._admission.give_back(self.taken)
        self.taken = 0


class Admission:
    """Lets requests in while queue and memory have room. An empty server always admits one batch.

    What may wait is the queue's own business. Memory is admitted by accounted bytes; the limit on resident memory comes on
    top, and only while something waits: resident memory does not always fall when memory is freed, and a gate on it alone
    could stay shut for ever.
    """

    def __init__(
        self,
        queue: BatchQueue,
        rate: DrainRate,
        memory: Memory,
        *,
        max_bytes: int,
        chance: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._queue = queue
        self._rate = rate
        self._memory = memory
        self._max_bytes = max_bytes
        self._chance = chance
        self._receiving = 0
        self._closed = False

    def close(self) -> None:
        """Refuse everything from now on: the server is shutting down."""
        self._closed = True

    @property
    def receiving_bytes(self) -> int:
        """Bytes of bodies that are being received."""
        return self._receiving

    def check_open(self) -> None:
        """Raise `Overloaded` once the server is shutting down: what it has accepted by then is all that it settles."""
        if self._closed:
            raise Overloaded(_SHUTTING_DOWN, retry_after=self.retry_after())

    def enter(self, content_length: int | None) -> Room:
        """Let a request in, before its body is read. Raises `Overloaded`."""
        if reason := self.reason_to_refuse():
            raise Overloaded(reason, retry_after=self.retry_after())
        room = Room(self)
        if content_length:
            self._check_bytes(content_length, has=0)
        return room

    def reason_to_refuse(self) -> str | None:
        """Why nobody is let in now, if so."""
        if self._closed:
            return _SHUTTING_DOWN
        if reason := self._queue.full:
            return reason
        if self._queue.batches and self._memory.resident > self._memory.limit:
            return f"memory is short: {self._memory.resident} bytes of at most {self._memory.limit} are in use"
        return None

    def take(self, size: int, *, has: int) -> None:
        """Account for bytes that arrived."""
        self._check_bytes(size, has=has)
        self._receiving += size

    def give_back(self, size: int) -> None:
        """They are in the queue now, or gone."""
        self._receiving -= size

    def retry_after(self) -> int:
        """Seconds until what waits should be settled: 1 to 60, with jitter."""
        waiting = self._queue.bytes + self._receiving
        rate = self._rate.bytes_per_second
        seconds = waiting / rate if rate else 5.0
        return max(1, min(60, math.ceil(seconds * self._chance(0.5, 1.0))))

    def _check_bytes(self, size: int, *, has: int) -> None:
        others = self._queue.held_bytes + self._receiving - has
        if others > 0 and others + has + size > self._max_bytes:
            raise Overloaded(
                f"no room for this batch now: {others} bytes wait in memory or arrive, of at most {self._max_bytes}",
                retry_after=self.retry_after(),
            )


def check_size(size: int, limit: int, unit: str) -> None:
    """Raise `TooLarge` where size is above the limit."""
    if size > limit:
        raise TooLarge(f"the body has more than {limit} {unit.replace('_', ' ')}", limit=limit, limit_unit=unit)
