"""The processes that the laboratory starts: each in a session of its own, what it says in a file, ended by its own pid."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil

from loadtests.errors import PartError
from spiders.demo.programs import environment

_SHOWN = 2000


class Program:
    """One run of `python -m WORDS`, and what became of it."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process
        self.was_struck = False
        """Whether a fault sent it a signal: then it may end as it likes."""

    @classmethod
    async def start(cls, name: str, *words: str, place: Path, log: Path | None = None) -> "Program":
        """Stdout and stderr are appended to `log`; nothing of the caller's settings reaches the process."""
        log = log or place / f"{name}.log"
        with log.open("ab") as said:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *words),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=place,
                env=environment(),
                start_new_session=True,
            )
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.returncode

    def strike(self, number: signal.Signals) -> None:
        """A fault's signal."""
        self.was_struck = True
        self._send(number)

    def hold(self, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT: a signal that is no excuse for how it ends."""
        self._send(number)

    async def wait(self) -> int:
        return await self._process.wait()

    async def end_by_itself(self, seconds: float) -> int:
        """Its exit code; whoever is not done within `seconds` is ended."""
        try:
            async with asyncio.timeout(seconds):
                return await self._process.wait()
        except TimeoutError:
            return await self.end(10)

    async def end(self, seconds: float) -> int:
        """SIGTERM, and SIGKILL where that is not heard within `seconds`. Returns the exit code; -9 says that it was not."""
        self._send(signal.SIGCONT)
        self._send(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                return await self._process.wait()
        except TimeoutError:
            self._send(signal.SIGKILL)
            return await self._process.wait()
        except asyncio.CancelledError:
            self._send(signal.SIGKILL)
            await self._process.wait()
            raise

    def resident(self) -> int:
        """Resident bytes, 0 when it is gone."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-_SHOWN:]

    def failed(self, what: str) -> PartError:
        return PartError(part=self.name, said=f"{what}\n{self.tail()}")

    def _send(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return
