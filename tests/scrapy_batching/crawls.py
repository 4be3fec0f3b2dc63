"""Runs real crawls in processes of their own: a script in a directory, its log, its stats, its exit code."""

import asyncio
import importlib.util
import json
import os
import signal
import sys
import textwrap
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HAS_REACTORLESS = importlib.util.find_spec("scrapy.utils.reactorless") is not None
"""Whether this Scrapy runs without a reactor: a mode that it does not have is not tested."""

MODES = {
    "AsyncCrawlerProcess": """
        from scrapy.crawler import AsyncCrawlerProcess
        process = AsyncCrawlerProcess(SETTINGS)
        for cls in SPIDERS:
            process.crawl(cls)
        process.start()
    """,
    "CrawlerProcess": """
        from scrapy.crawler import CrawlerProcess
        process = CrawlerProcess(SETTINGS)
        for cls in SPIDERS:
            process.crawl(cls)
        process.start()
    """,
    "AsyncCrawlerRunner": """
        from scrapy.crawler import AsyncCrawlerRunner
        from scrapy.utils.log import configure_logging
        from scrapy.utils.reactor import install_reactor
        install_reactor("twisted.internet.asyncioreactor.AsyncioSelectorReactor")
        configure_logging(SETTINGS)
        from twisted.internet import reactor
        from twisted.internet.defer import Deferred
        from twisted.internet.task import react
        import asyncio

        async def run():
            runner = AsyncCrawlerRunner(SETTINGS)
            for cls in SPIDERS:
                runner.crawl(cls)
            await runner.join()

        react(lambda _: Deferred.fromFuture(asyncio.ensure_future(run())))
    """,
    "CrawlerRunner": """
        from scrapy.crawler import CrawlerRunner
        from scrapy.utils.log import configure_logging
        from scrapy.utils.reactor import install_reactor
        install_reactor("twisted.internet.asyncioreactor.AsyncioSelectorReactor")
        configure_logging(SETTINGS)
        from twisted.internet.task import react
        runner = CrawlerRunner(SETTINGS)
        for cls in SPIDERS:
            runner.crawl(cls)
        react(lambda _: runner.join())
    """,
    "reactorless": """
        from scrapy.crawler import AsyncCrawlerProcess
        process = AsyncCrawlerProcess(SETTINGS | {"TWISTED_REACTOR_ENABLED": False})
        for cls in SPIDERS:
            process.crawl(cls)
        process.start()
    """,
    "AsyncCrawlerRunner without a reactor": """
        from scrapy.crawler import AsyncCrawlerRunner
        from scrapy.utils.log import configure_logging
        configure_logging(SETTINGS)

        async def run():
            runner = AsyncCrawlerRunner(SETTINGS | {"TWISTED_REACTOR_ENABLED": False})
            for cls in SPIDERS:
                runner.crawl(cls)
            await runner.join()

        asyncio.run(run())
    """,
}
if not HAS_REACTORLESS:
    del MODES["reactorless"], MODES["AsyncCrawlerRunner without a reactor"]


def those(*modes: str) -> list[str]:
    """Those of the modes that this Scrapy has."""
    return [mode for mode in modes if mode in MODES]


HEAD = """
import asyncio, json, scrapy, sys
from pathlib import Path
from scrapy.statscollectors import MemoryStatsCollector

class KeptStats(MemoryStatsCollector):
    def _persist_stats(self, stats):
        with Path("stats.jsonl").open("a") as out:
            out.write(json.dumps(stats, default=str) + "\\n")

SETTINGS = {
    "ADDONS": {"scrapy_batching.Addon": 500},
    "STATS_CLASS": KeptStats,
    "REMOTE_CONTROL_ENABLED": False,
    "TELNETCONSOLE_ENABLED": False,
    "LOG_LEVEL": "DEBUG",
    "BATCHING_RETRY_BASE": 0.01,
    "BATCHING_RETRY_MAX": 0.05,
    **json.loads(sys.argv[1]),
}
"""

NEVER_DONE = """
class Numbers(scrapy.Spider):
    name = "numbers"
    async def start(self):
        yield scrapy.Request("data:,x")

    async def parse(self, response):
        for n in range(7):
            yield {"n": n}
        self.logger.info("ALL GIVEN")
        await asyncio.Event().wait()

SPIDERS = [Numbers]
"""
"""Seven items, of a callback that never ends."""

NUMBERS = """
class Numbers(scrapy.Spider):
    name = "numbers"
    async def start(self):
        for n in range(self.settings.getint("HOW_MANY", 7)):
            yield {"n": n}

SPIDERS = [Numbers]
"""


@dataclass
class Crawl:
    """A crawl that runs, or has run."""

    directory: Path
    process: asyncio.subprocess.Process
    log: str = ""
    stats: list[dict[str, Any]] = field(default_factory=list)

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    async def end(self) -> int:
        """Its exit code, when it has ended by itself."""
        out, _ = await self.process.communicate()
        self.log = out.decode()
        kept = self.directory / "stats.jsonl"
        self.stats = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
        assert self.process.returncode is not None
        return self.process.returncode

    async def line(self, part: str) -> str:
        """The next line of its log that holds `part`."""
        assert self.process.stdout is not None
        read = ""
        while line := (await self.process.stdout.readline()).decode():
            if part in line:
                return line
            read += line
        raise AssertionError(f"the crawl ended without a line holding {part!r}:\n{read[-10_000:]}")

    def batching(self, index: int = 0) -> dict[str, Any]:
        """Our stats, without the prefix."""
        prefix = "batching/"
        return {name.removeprefix(prefix): n for name, n in self.stats[index].items() if name.startswith(prefix)}

    @property
    def runs(self) -> list[Path]:
        """The folders of runs in the spool, oldest first."""
        spool = self.directory / "spool"
        return sorted(one for one in spool.glob("*") if one.name != "refused") if spool.exists() else []

    def waiting(self) -> list[dict[str, Any]]:
        """Every item that the spool keeps for the next crawl."""
        files = sorted(file for run in self.runs for file in run.glob("*/*.ndjson"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@asynccontextmanager
async def crawling(directory: Path, spiders: str = NUMBERS, *, mode: str = "AsyncCrawlerProcess", **settings: Any):
    """A crawl of `spiders` (source that sets SPIDERS) in a mode of MODES, or by a script of the test's own.

    Ended by force, by its own id, if the test leaves it running.
    """
    script = directory / "crawl.py"
    script.write_text(HEAD + textwrap.dedent(spiders) + "\n" + textwrap.dedent(mode if "\n" in mode else MODES[mode]))
    settings = {"BATCHING_SPOOL_DIR": str(directory / "spool")} | settings
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error:Unclosed",
        str(script),
        json.dumps(settings),
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 24,
    )
    try:
        yield Crawl(directory, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def crawled(directory: Path, spiders: str = NUMBERS, **more: Any) -> Crawl:
    """A crawl that has ended with exit code 0."""
    async with crawling(directory, spiders, **more) as crawl:
        code = await crawl.end()
    assert code == 0, crawl.log
    return crawl


def balanced(stats: dict[str, Any]) -> bool:
    """Whether every item that was taken is somewhere."""
    there = sum(stats[f"items/{name}"] for name in ("delivered", "rejected", "spooled", "dropped"))
    return stats["items/enqueued"] == there
