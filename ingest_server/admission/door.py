"""The door: a request is let in or told when to come back, before its body is read."""

import math
import random
import time
from collections.abc import Callable

from ingest_server.admission.memory import Memory
from ingest_server.admission.rate import DrainRate
from ingest_server.admission.rooms import Room, Rooms
from ingest_server.errors import Overloaded, TooLarge
from ingest_server.ports import BatchQueue

_TIGHT = 0.7
_SHUTTING_DOWN = "the server is shutting down"


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._rate = rate
        self._memory = memory
        self._chance = chance
        self._rooms = Rooms(clock, lambda: queue.held_bytes, max_bytes, self._no_room, self._is_tight)
        self._closed = False

    def close(self) -> None:
        """Refuse everything from now on: the server is shutting down."""
        self._closed = True

    @property
    def receiving_bytes(self) -> int:
        """Bytes that bodies which are being received have reserved."""
        return self._rooms.bytes

    def check_open(self) -> None:
        """Raise `Overloaded` once the server is shutting down: what it has accepted by then is all that it settles."""
        if self._closed:
            raise Overloaded(_SHUTTING_DOWN, retry_after=self.retry_after())

    def enter(self, content_length: int | None) -> Room:
        """Let a request in, before its body is read. Raises `Overloaded`."""
        if reason := self.reason_to_refuse():
            raise Overloaded(reason, retry_after=self.retry_after())
        return self._rooms.enter(content_length)

    def reason_to_refuse(self) -> str | None:
        """Why nobody is let in now, if so."""
        if self._closed:
            return _SHUTTING_DOWN
        if reason := self._queue.full:
            return reason
        if (self._queue.batches or len(self._rooms)) and self._memory.resident > self._memory.limit:
            return f"memory is short: {self._memory.resident} bytes of at most {self._memory.limit} are in use"
        return None

    def cut_half(self) -> int:
        """Memory is out: the larger half of the bodies that arrive must go. How many went."""
        return self._rooms.cut_half()

    def retry_after(self) -> int:
        """Seconds until what waits should be settled: 1 to 60, with jitter."""
        waiting = self._queue.bytes - self._queue.parked.bytes + self._rooms.bytes
        rate = self._rate.bytes_per_second
        seconds = waiting / rate if rate else 5.0
        return max(1, min(60, math.ceil(seconds * self._chance(0.5, 1.0))))

    def _is_tight(self) -> bool:
        """Whether large bodies are too much now, since what is being written may still grow."""
        return self._memory.resident > self._memory.limit * _TIGHT

    def _no_room(self, others: int, is_cut: bool) -> Overloaded:
        if is_cut:
            reason = "memory is short, and this body held more of it or came slower than others"
        else:
            reason = (
                f"no room for this batch now: {others} bytes wait in memory or arrive, of at most {self._rooms.most}"
            )
        return Overloaded(reason, retry_after=self.retry_after())


def check_size(size: int, limit: int, unit: str) -> None:
    """Raise `TooLarge` where size is above the limit."""
    if size > limit:
        raise TooLarge(f"the body has more than {limit} {unit.replace('_', ' ')}", limit=limit, limit_unit=unit)
