"""A small project on disk, and Scrapy's own commands run in it; a port that counts who comes."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.scrapy_batching.crawls import HAS_REACTORLESS

ROOT = Path(__file__).parents[3]
QUIET = {"REMOTE_CONTROL_ENABLED": False, "TELNETCONSOLE_ENABLED": False}

PROCESSES: dict[str, dict[str, Any]] = {"AsyncCrawlerProcess": {}, "CrawlerProcess": {"FORCE_CRAWLER_PROCESS": True}}
"""The setting that makes a command choose each."""
if HAS_REACTORLESS:
    PROCESSES["AsyncCrawlerProcess without a reactor"] = {"TWISTED_REACTOR_ENABLED": False}

SETTINGS = """
import atexit, sys, threading

SPIDER_MODULES = ["shop.spiders"]
BOT_NAME = "shop"
STATS_DUMP = True
{settings}

_register = atexit.register

def _told(function, *args, **more):
    print("AT EXIT:", getattr(function, "__module__", "?"), file=sys.stderr)
    return _register(function, *args, **more)

def _last():
    print("THREADS:", sorted(one.name for one in threading.enumerate()), file=sys.stderr)

threading._register_atexit(_last)  # before threads are waited for
atexit.register = _told
"""

SPIDER = """
import scrapy


class Numbers(scrapy.Spider):
    name = "numbers"

    async def start(self):
        for n in range(int(getattr(self, "count", 7))):
            yield {"n": n}

    def nothing(self, response):
        return []

    def three(self, response):
        \"\"\"Three items of any page.

        @url data:,page
        @returns items 3 3
        \"\"\"
        for n in range(3):
            yield {"n": n}
"""

ENDLESS = """
import asyncio
import scrapy


class Endless(scrapy.Spider):
    name = "endless"

    async def start(self):
        yield scrapy.Request("data:,x")

    async def parse(self, response):
        for n in range(7):
            yield {"n": n}
        await asyncio.Event().wait()
"""


def project(directory: Path, **settings: Any) -> Path:
    """A project `shop` with the spiders `numbers` and `endless`; where it lies."""
    package = directory / "shop"
    (package / "spiders").mkdir(parents=True)
    (directory / "scrapy.cfg").write_text("[settings]\ndefault = shop.settings\n")
    lines = "\n".join(f"{name} = {value!r}" for name, value in (QUIET | settings).items())
    (package / "settings.py").write_text(SETTINGS.format(settings=lines))
    (package / "__init__.py").touch()
    (package / "spiders" / "__init__.py").touch()
    (package / "spiders" / "figures.py").write_text(SPIDER)
    (package / "spiders" / "endless.py").write_text(ENDLESS)
    (directory / "page.html").write_text("<p>a page</p>")
    return directory


async def program(directory: Path, *args: str, **variables: str) -> tuple[int, str]:
    """Python with these arguments, in a home of its own: its exit code and everything it said."""
    home = directory / "home"
    home.mkdir(exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, *args),
        cwd=directory,
        env=inherited | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(home)} | variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await run.communicate()
    finally:
        if run.returncode is None:
            run.kill()
            await run.wait()
    assert run.returncode is not None
    return run.returncode, out.decode()


async def scrapy(directory: Path, *args: str, **settings: Any) -> tuple[int, str]:
    """A command of Scrapy with `-s` for each setting."""
    given = [part for name, value in settings.items() for part in ("-s", f"{name}={value}")]
    return await program(directory, "-m", "scrapy", *args, *given)


def tree(directory: Path) -> list[str]:
    """Every file and folder below it."""
    return sorted(str(one.relative_to(directory)) for one in directory.rglob("*"))


@dataclass
class Door:
    """A port where nobody answers."""

    url: str = ""
    knocks: int = 0


@asynccontextmanager
async def counting_door():
    """Counts connections, before a byte is read of them."""
    door = Door()

    def knock(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        door.knocks += 1
        writer.close()

    async with await asyncio.start_server(knock, "127.0.0.1", 0) as listening:
        door.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield door
