"""The programs that the demo starts: each in a session of its own, its output in files, ended by its own pid."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]

_LISTENING = re.compile(rb"listening on (http://\S+)\n")
_LOOK_SECONDS = 0.02
_START_SECONDS = 120
_END_SECONDS = 60
_SHOWN_LINES = 30


class ProgramError(Exception):
    """A program ended, or did not start; what it said last is in the text."""

    def __init__(self, name: str, what: str, log: Path) -> None:
        lines = log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
        said = "".join(f"\n  | {line}" for line in lines)
        super().__init__(f"{name} {what}; its log ends with{said}" if said else f"{name} {what}; its log is empty")


@asynccontextmanager
async def running(name: str, *words: str, place: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m WORDS` until the block is left; what it says is in `place`, in NAME.out and NAME.log."""
    with out(name, place).open("wb") as stdout, log(name, place).open("wb") as stderr:
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            # Nothing that lies in the caller's directory (ingest.toml, scrapy.cfg) changes what the demo does.
            cwd=place,
            env={**environment(), "SCRAPY_SETTINGS_MODULE": "spiders.settings"},
            # A Ctrl-C in the terminal is for the demo, which ends its programs in order.
            start_new_session=True,
        )
    try:
        yield program
    finally:
        await end(program)


@asynccontextmanager
async def serving(name: str, *words: str, place: Path) -> AsyncIterator[str]:
    """A server until the block is left, and the address where it says that it listens."""
    async with running(name, *words, place=place) as program:
        yield await _address(name, program, place)


def out(name: str, place: Path) -> Path:
    """The program's standard output."""
    return place / f"{name}.out"


def log(name: str, place: Path) -> Path:
    """The program's standard error, where the logs go."""
    return place / f"{name}.log"


async def end(program: asyncio.subprocess.Process) -> None:
    """SIGTERM, and SIGKILL for what does not listen to it. An interruption is held back until the program has ended."""
    ending = asyncio.create_task(_end(program), name=f"end {program.pid}")
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise


async def _end(program: asyncio.subprocess.Process) -> None:
    if program.returncode is not None:
        return
    program.terminate()
    try:
        async with asyncio.timeout(_END_SECONDS):
            await program.wait()
    except TimeoutError:
        program.kill()
        await program.wait()


async def _address(name: str, program: asyncio.subprocess.Process, place: Path) -> str:
    ended = asyncio.create_task(program.wait(), name=f"{name} ends")
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not (found := _LISTENING.search(out(name, place).read_bytes())):
                if ended.done():
                    raise ProgramError(name, f"ended with exit code {program.returncode}", log(name, place))
                await asyncio.wait({ended}, timeout=_LOOK_SECONDS)
    except TimeoutError:
        raise ProgramError(name, f"was not ready after {_START_SECONDS} s", log(name, place)) from None
    finally:
        ended.cancel()
    return found[1].decode()


def environment() -> dict[str, str]:
    """The caller's, without what would change a program: settings of ours and of Scrapy's, and proxies."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("INGEST_", "BATCHING_", "SCRAPY_")) and not name.lower().endswith("_proxy")
    }
    paths = [str(ROOT), *filter(None, kept.get("PYTHONPATH", "").split(os.pathsep))]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}
