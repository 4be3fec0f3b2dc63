"""The crawl's machine loses its power: by POSIX's rules alone, what had to wait is there, and under its name."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loadtests.faults.launch import words
from loadtests.faults.power import forget
from scrapy_batching.names import half_name
from scrapy_batching.spool.runs import find_runs
from tests.scrapy_batching.fake_server import problem, says, takes_at_most

SPIDER = """
import scrapy

class Few(scrapy.Spider):
    name = "few"
    custom_settings = {"ADDONS": {"scrapy_batching.Addon": 500}, "TELNETCONSOLE_ENABLED": False, "LOG_LEVEL": "ERROR"}

    async def start(self):
        for n in range(8):
            yield {"n": n}
"""


@asynccontextmanager
async def on_a_weak_supply(directory: Path, url: str):
    """The crawl's process, whose spool `forget` can rewrite."""
    (directory / "few.py").write_text(SPIDER)
    settings = {"BATCHING_URL": url, "BATCHING_SPOOL_DIR": directory / "spool", "BATCHING_RETRY_BASE": 0.01}
    pairs = [word for name, value in settings.items() for word in ("-s", f"{name}={value}")]
    hooks = words(power=directory / "spool")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtests.faults.launch", *hooks, "--", "crawl", "runspider", "few.py", *pairs),
        cwd=directory,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": ""},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def again(server) -> None:
    """Returns when a batch is tried a second time: it has waited."""
    while len(server.sent) == len(set(server.sent)):
        server.arrived.clear()
        await server.arrived.wait()


def left(spool: Path):
    (run,), foreign = find_runs(spool)
    assert foreign == []
    (one,) = run.left()
    return run, one


async def test_a_batch_that_waits(server, tmp_path):
    server.always = says(503)
    async with on_a_weak_supply(tmp_path, server.url):
        await again(server)
    forget(tmp_path / "spool")
    run, one = left(tmp_path / "spool")
    assert (run.about.spider, one.table, one.path.read_bytes().count(b"\n")) == ("few", "few", 8)


async def test_a_batch_and_a_half_of_it_that_may_only_be_sent_as_halves(server, tmp_path):
    async def at_most_two(fake, request, body):
        return await takes_at_most(2)(fake, request, body) or problem(503, "busy")

    server.always = at_most_two
    async with on_a_weak_supply(tmp_path, server.url):
        await again(server)
    forget(tmp_path / "spool")
    run, one = left(tmp_path / "spool")
    assert (one.is_split, one.path.read_bytes().count(b"\n")) == (True, 8)
    splits = {line["split"]: line["of"] for line in run.tally() if "split" in line}
    assert set(splits.values()) == {str(one.id)}
    halves = half_name(one.id, 0, 4), half_name(one.id, 4, 8)
    sent = {str(half) for half in halves for span in ((0, 2), (2, 4)) if str(half_name(half, *span)) in server.sent}
    assert sent
    assert sent <= set(splits)


@pytest.mark.parametrize(("status", "where"), [(401, "*/few"), (422, "refused/few")])
async def test_what_is_left_and_what_was_refused(server, tmp_path, status, where):
    server.always = says(status)
    async with on_a_weak_supply(tmp_path, server.url) as process:
        assert await process.wait() == 0
    forget(tmp_path / "spool")
    (file,) = (tmp_path / "spool").glob(f"{where}/*.ndjson")
    assert [json.loads(line)["n"] for line in file.read_text().splitlines()] == list(range(8))
