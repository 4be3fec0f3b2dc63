"""One crawl of the demo, watched through the server's totals, and what three sides say about it afterwards."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from spiders.demo.programs import ProgramError, log, running
from spiders.demo.show import Progress
from spiders.demo.workplace import Workplace

_LOOK_SECONDS = 0.1
_SETTLE_SECONDS = 60

# Small batches, so that there is progress to be seen; a crawl of a real site keeps the 500.
_BATCH_ITEMS = 100
# Should the server be gone, nobody wants to watch a crawl that waits for it.
_CLOSE_SECONDS = 20


@dataclass(frozen=True)
class Crawled:
    """What Scrapy and the server counted."""

    crawl: str
    stats: Mapping[str, Any]
    totals: Mapping[str, int]


class Server:
    """The ingestion server, asked over HTTP."""

    def __init__(self, http: aiohttp.ClientSession, url: str, log: Path) -> None:
        self._http = http
        self._log = log
        self.url = url

    async def totals(self, crawl: str) -> Mapping[str, int]:
        """The crawl as the server counts it now; empty before its first batch came."""
        try:
            async with self._http.get(f"{self.url}/v1/crawls/{crawl}") as answer:
                if answer.status == 404:
                    return {}
                answer.raise_for_status()
                totals: Mapping[str, int] = await answer.json()
                return totals
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ProgramError("server", f"did not give its totals ({error})", self._log) from None


async def crawl(name: str, *, site: str, server: Server, place: Workplace, progress: Progress) -> Crawled:
    """Run the spider in a process of its own until everything that it sent has settled."""
    settings = {
        "BATCHING_URL": server.url,
        "BATCHING_CRAWL_ID": name,
        "BATCHING_BATCH_ITEMS": _BATCH_ITEMS,
        "BATCHING_CLOSE_TIMEOUT": _CLOSE_SECONDS,
        "BATCHING_SPOOL_DIR": place.spool,
        "STATS_FILE": place.stats(name),
    }
    words = [word for setting, value in settings.items() for word in ("-s", f"{setting}={value}")]
    crawling = running(name, "scrapy", "crawl", "properties", "-a", f"site={site}", *words, place=place.directory)
    async with crawling as program:
        ended = asyncio.create_task(program.wait(), name=f"{name} ends")
        try:
            while not ended.done():
                await asyncio.wait({ended}, timeout=_LOOK_SECONDS)
                progress.show(await server.totals(name))
        finally:
            ended.cancel()
    if program.returncode != 0:
        raise ProgramError(name, f"ended with exit code {program.returncode}", log(name, place.directory))
    totals = await _settled(name, server, progress)
    return Crawled(name, json.loads(place.stats(name).read_text()), totals)


async def _settled(name: str, server: Server, progress: Progress) -> Mapping[str, int]:
    totals = await server.totals(name)
    try:
        async with asyncio.timeout(_SETTLE_SECONDS):
            while totals.get("pending", 0):
                await asyncio.sleep(_LOOK_SECONDS)
                totals = await server.totals(name)
                progress.show(totals)
    except TimeoutError:
        pass  # the figures will say what is missing
    progress.show(totals)
    return totals
