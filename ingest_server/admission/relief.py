"""What is done about memory that runs out: freed memory is given back, and above the hard limit half as much is begun."""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from ingest_server.admission.door import Admission
from ingest_server.admission.gate import Gate
from ingest_server.admission.memory import Memory, give_back

_STEP_SECONDS = 2.0
_TRIM_ABOVE = 0.7


class Tell(Protocol):
    """Who is told, once for each change; sizes are bytes."""

    def memory_out(self, resident: int, limit: int, *, allowed: int, cut: int) -> None:
        """Above the hard limit: so many batches are worked on from now on, so many bodies were cut."""

    def memory_well(self, resident: int, *, allowed: int) -> None:
        """Below the soft limit again: all workers may work."""


class Relief:
    """To be asked to look a few times a second."""

    def __init__(
        self,
        memory: Memory,
        gate: Gate,
        admission: Admission,
        tell: Tell,
        *,
        clock: Callable[[], float],
        trim: Callable[[], None] = give_back,
    ) -> None:
        self._memory = memory
        self._gate = gate
        self._admission = admission
        self._tell = tell
        self._clock = clock
        self._trim = trim
        self._stepped_at = self._trimmed_at = -math.inf
        self._is_narrow = False

    def look(self) -> None:
        """Act on the memory of this moment. Each measure gets two seconds to show before the next."""
        now, resident = self._clock(), self._memory.resident
        if resident > self._memory.limit * _TRIM_ABOVE and now - self._trimmed_at >= _STEP_SECONDS:
            self._trimmed_at = now
            asyncio.get_running_loop().run_in_executor(None, self._trim)
        if now - self._stepped_at < _STEP_SECONDS:
            return
        if resident > self._memory.hard_limit:
            self._stepped_at = now
            self._is_narrow = True
            cut = self._admission.cut_half()
            self._tell.memory_out(resident, self._memory.hard_limit, allowed=self._gate.halve(), cut=cut)
        elif self._is_narrow and resident <= self._memory.limit:
            self._stepped_at = now
            before, allowed = self._gate.allowed, self._gate.widen()
            self._is_narrow = allowed > before
            if not self._is_narrow:
                self._tell.memory_well(resident, allowed=allowed)
