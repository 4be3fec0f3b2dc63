"""A real scrapyd starts our crawls, and cancels them: once, and once more (scrapy/scrapyd#356)."""

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from tests.scrapy_batching.fake_server import Holding
from tests.scrapy_batching.runs.shop import ROOT, project

# No port: a free one may be somebody else's by the time it is taken. Without a directory for logs, scrapyd says what its
# crawls say.
CONFIGURATION = """
[scrapyd]
http_port = 0
unix_socket_path = {directory}/socket
logs_dir =
eggs_dir = {directory}/eggs
dbs_dir = {directory}/dbs
poll_interval = 0.1
max_proc = 1
"""
STARTED = re.compile(r"Process started: .* pid=(\d+)")
ENDED = re.compile(r"Process (?:finished|died): .* pid=(\d+)")


class Scrapyd:
    """One that runs."""

    def __init__(self, process: asyncio.subprocess.Process, directory: Path) -> None:
        self.process = process
        self._socket = f"{directory}/socket"
        self.log = ""

    async def line(self, part: str) -> str:
        """The next line that it says, or one of its crawls, that holds `part`."""
        assert self.process.stdout is not None
        while line := (await self.process.stdout.readline()).decode():
            self.log += line
            if part in line:
                return line
        raise AssertionError(f"scrapyd ended without a line holding {part!r}:\n{self.log}")

    async def schedule(self, spider: str) -> str:
        return (await self._post("schedule.json", project="default", spider=spider))["jobid"]

    async def cancel(self, crawl: str, **how: str) -> None:
        assert (await self._post("cancel.json", project="default", job=crawl, **how))["prevstate"] == "running"

    async def _post(self, name: str, **fields: str) -> dict[str, str]:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(self._socket)) as http,
            http.post(f"http://scrapyd/{name}", data=fields) as answer,
        ):
            said = await answer.json(content_type=None)
        assert said["status"] == "ok", said
        return said


@asynccontextmanager
async def running(directory: Path):
    (directory / "scrapyd.conf").write_text(CONFIGURATION.format(directory=directory))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-m", "scrapyd"),
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(directory)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 24,
    )
    one = Scrapyd(process, directory)
    try:
        # Its socket listens by then: it is opened before its services start.
        await one.line("started: max_proc=")
        yield one
    finally:
        if process.returncode is None:
            process.terminate()
        rest, _ = await process.communicate()
        # It does not end its crawls with it. After a test that failed one may still be there.
        said = one.log + rest.decode()
        for crawl in set(STARTED.findall(said)) - set(ENDED.findall(said)):
            with suppress(ProcessLookupError):
                os.kill(int(crawl), signal.SIGKILL)


@pytest.fixture
async def scrapyd(server, reachable_path):
    """In a project whose crawls deliver to the fake server, with a spool in it."""
    settings = {"BATCHING_URL": server.url, "BATCHING_SPOOL_DIR": "spool", "BATCHING_BATCH_ITEMS": 4}
    project(reachable_path, ADDONS={"scrapy_batching.Addon": 500}, **settings)
    async with running(reachable_path) as one:
        yield one


def waiting(directory: Path) -> list[int]:
    """What the spool keeps for the next crawl."""
    files = (directory / "spool").glob("*/*/*.ndjson")
    return sorted(json.loads(line)["n"] for file in files for line in file.read_text().splitlines())


async def test_a_scheduled_spider_delivers_its_items(scrapyd, server, reachable_path):
    await scrapyd.schedule("numbers")
    await scrapyd.line("Process finished")
    assert sorted(item["n"] for item in server.items) == list(range(7))
    assert [one["items"] for one in server.closes] == [7]
    assert waiting(reachable_path) == []


async def test_a_cancel_lets_a_crawl_deliver_what_it_has(scrapyd, server, reachable_path):
    """It is one SIGINT, which comes here while the crawl closes."""
    holding = Holding()
    server.tricks.append(holding)
    crawl = await scrapyd.schedule("numbers")
    await holding.reached.wait()
    await scrapyd.line("Closing spider")
    await scrapyd.cancel(crawl)
    await scrapyd.line("shutting down gracefully")
    holding.go.set()
    await scrapyd.line("Process finished")
    assert sorted(item["n"] for item in server.items) == list(range(7))
    assert waiting(reachable_path) == []


@pytest.mark.parametrize("how", [{}, {"signal": "TERM"}], ids=["INT", "TERM"])
async def test_a_second_cancel_leaves_the_rest_in_the_spool_for_the_next_crawl(scrapyd, server, reachable_path, how):
    holding = Holding()
    server.always = holding
    crawl = await scrapyd.schedule("endless")
    await holding.reached.wait()
    await scrapyd.cancel(crawl, **how)
    await scrapyd.line("shutting down gracefully")
    await scrapyd.cancel(crawl, **how)
    assert re.search("Process (finished|died)", await scrapyd.line("Process "))
    assert waiting(reachable_path) == list(range(7))
    server.always = None
    holding.go.set()
    await scrapyd.schedule("numbers")
    await scrapyd.line("Process finished")
    assert waiting(reachable_path) == []
    assert sorted((one.table, item["n"]) for one in server.batches.values() for item in one.items) == [
        *(("endless", n) for n in range(7)),
        *(("numbers", n) for n in range(7)),
    ]
