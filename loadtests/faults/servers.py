"""The servers of a round: a fixed port each, so that a restart keeps the address; who ends unasked is started again."""

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import aiohttp
import orjson

from loadtests.errors import PartError
from loadtests.faults.programs import Program

_LISTENING = b"listening on "
_LISTEN_SECONDS = 90
_END_SECONDS = 60
_LOOK_SECONDS = 0.05
_PROBE_SECONDS = 3.0


def free_port() -> int:
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


class Server:
    """One server: words of its command line, and how often it was started."""

    def __init__(self, name: str, port: int, place: Path, words: Sequence[str], breach: Callable[[str], None]) -> None:
        self.name = name
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.front = self.url
        """Where crawls send: the server itself, or a proxy before it."""
        self.changing = asyncio.Lock()
        """Held by a fault from the blow until it listens again."""
        self.program: Program | None = None
        self.more: list[str] = []
        """Words of the command line that a fault may change; they hold from the next start."""
        self.rss_peak = 0
        self.started_at = 0.0
        self._place = place
        self._words = [*words, "--port", str(port)]
        self._breach = breach
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and wait until it listens. Raises `PartError` where it ends before, or is not ready in 90 s."""
        program, said = await self.spawn()
        ends = time.monotonic() + _LISTEN_SECONDS
        while _LISTENING not in program.log.read_bytes()[said:]:
            if program.code is not None:
                raise program.failed(f"it ended with exit code {program.code} before it listened")
            if time.monotonic() > ends:
                raise program.failed(f"it did not listen within {_LISTEN_SECONDS} s")
            await asyncio.sleep(_LOOK_SECONDS)

    async def spawn(self) -> tuple[Program, int]:
        """Start it and wait for nothing. Returns where its log began."""
        log = self._place / f"{self.name}.log"
        said = log.stat().st_size if log.exists() else 0
        program = await Program.start(self.name, *self._words, *self.more, place=self._place, log=log)
        self.program = program
        self.started_at = time.monotonic()
        self._watcher = asyncio.create_task(self._watch(program), name=f"watch {self.name}")
        return program, said

    async def twin(self) -> Program:
        """The same command once more, at the same time."""
        return await Program.start(f"{self.name}-twin", *self._words, *self.more, place=self._place)

    def strike(self, number: signal.Signals) -> None:
        assert self.program is not None
        self.program.strike(number)

    async def gone(self) -> int:
        """Its exit code; whoever does not end within a minute is killed, which is a breach."""
        assert self.program is not None
        try:
            async with asyncio.timeout(_END_SECONDS):
                return await self.program.wait()
        except TimeoutError:
            self._breach(f"{self.name} did not end within {_END_SECONDS} s")
            return await self.program.end(0.1)

    async def stop(self) -> None:
        """SIGTERM at the end of a round; anything but exit code 0 is a breach."""
        if self._watcher is not None:
            self._watcher.cancel()
        if self.program is None or self.program.code is not None:
            return
        self.program.was_struck = True
        code = await self.program.end(_END_SECONDS)
        if code != 0:
            self._breach(f"{self.name} ended with exit code {code} after SIGTERM: {self.program.tail()[-500:]}")

    def look(self) -> None:
        """Note its memory."""
        if self.program is not None and self.program.code is None:
            self.rss_peak = max(self.rss_peak, self.program.resident())

    async def is_healthy(self, http: aiohttp.ClientSession, number: int) -> bool:
        """Whether it is ready, and a batch that is sent to it now is committed."""
        timeout = aiohttp.ClientTimeout(total=_PROBE_SECONDS)
        body = orjson.dumps({"crawl": self.name, "n": number})
        headers = {"Content-Type": "application/x-ndjson", "Prefer": "wait=2"}
        try:
            async with http.get(f"{self.front}/readyz", timeout=timeout) as answer:
                if answer.status != 200:
                    return False
            async with http.post(
                f"{self.front}/v1/tables/probe/batches", data=body, headers=headers, timeout=timeout
            ) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def totals(self, http: aiohttp.ClientSession, crawl: str) -> dict[str, int] | None:
        """GET /v1/crawls/…, None where it was not answered. Of a crawl that nobody knows nothing is pending."""
        try:
            async with http.get(f"{self.url}/v1/crawls/{crawl}", timeout=aiohttp.ClientTimeout(total=20)) as answer:
                if answer.status == 404:
                    return {"pending": 0, "missing": 0}
                found: dict[str, int] | None = await answer.json() if answer.status == 200 else None
                return found
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return None

    async def _watch(self, program: Program) -> None:
        code = await program.wait()
        if program.was_struck:
            return
        self._breach(f"{self.name} ended by itself with exit code {code}: {program.tail()[-500:]}")
        async with self.changing:
            if self.program is program:
                with suppress(PartError):
                    await self.start()
