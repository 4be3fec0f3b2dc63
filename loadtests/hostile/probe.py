"""What an operator sees meanwhile: /livez on a fresh connection twenty times a second, and resident memory."""

import asyncio
import time
from dataclasses import dataclass, field

import psutil

_EVERY_SECONDS = 0.05
_ANSWER_SECONDS = 10.0
_REQUEST = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@dataclass(slots=True)
class Seen:
    """Seconds that each probe took, infinite where no answer came; memory as (seconds from the start, bytes)."""

    probes: list[float] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)


class Probe:
    """Open loop: a probe is sent at its time, whether the one before was answered or not."""

    def __init__(self, port: int, pid: int, began: float) -> None:
        self._port = port
        self._process = psutil.Process(pid)
        self._began = began
        self._flying: set[asyncio.Task[None]] = set()
        self.seen = Seen()

    async def run(self) -> None:
        """Until it is cancelled."""
        due = time.monotonic()
        while True:
            self.seen.memory.append((time.monotonic() - self._began, self._process.memory_info().rss))
            task = asyncio.create_task(self._probe(self.seen))
            self._flying.add(task)
            task.add_done_callback(self._flying.discard)
            due += _EVERY_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def fresh(self) -> Seen:
        """What was seen since the last call, once its probes are answered."""
        seen, self.seen = self.seen, Seen()
        if self._flying:
            await asyncio.wait(set(self._flying), timeout=_ANSWER_SECONDS + 1)
        return seen

    async def _probe(self, seen: Seen) -> None:
        began = time.monotonic()
        took = float("inf")
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    writer.write(_REQUEST)
                    line = await reader.readline()
                    if b" 200 " in line:
                        took = time.monotonic() - began
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError):
            pass
        seen.probes.append(took)
