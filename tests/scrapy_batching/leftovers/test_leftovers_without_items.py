"""A crawl that yields no item sends at its end what earlier ones left; a command that is no crawl does not."""

import pytest

from tests.scrapy_batching.crawls import MODES, NUMBERS, crawled, crawling
from tests.scrapy_batching.fake_server import Holding
from tests.scrapy_batching.leftovers.leaving import WAITS_TO_BE_KILLED, everything, killed, left_by, numbers
from tests.scrapy_batching.runs.shop import counting_door, project, scrapy, tree

OURS = {"scrapy_batching.Addon": 500}

RESUMED = WAITS_TO_BE_KILLED.replace(
    "async def start(self):",
    """async def start(self):
        if Path("job/seen").exists():
            return
        Path("job/seen").touch()""",
)
"""Yields everything before it is killed, and nothing when it is resumed."""


@pytest.mark.parametrize("mode", MODES)
async def test_a_crawl_without_items_delivers_what_a_killed_one_left(server, free_port, tmp_path, mode):
    (tmp_path / "a").mkdir()
    spool = await killed(tmp_path / "a", HOW_MANY=7, BATCHING_URL=f"http://127.0.0.1:{free_port}")
    (tmp_path / "b").mkdir()
    more = {"BATCHING_URL": server.url, "BATCHING_SPOOL_DIR": str(spool), "HOW_MANY": 0}
    crawl = await crawled(tmp_path / "b", NUMBERS, mode=mode, **more)
    assert numbers(server) == list(range(7))
    assert [(one["items"], one["reason"]) for one in server.closes] == [(7, "killed")]
    assert everything(spool) == []
    stats = crawl.batching()
    assert (stats["items/recovered"], stats["items/enqueued"], stats["items/delivered"]) == (7, 0, 0)
    assert "7 items delivered, 0 refused, 0 waiting on" in crawl.log
    assert "Unclosed" not in crawl.log


async def test_a_resumed_job_without_items_delivers_its_own(server, free_port, tmp_path):
    job = {"JOBDIR": str(tmp_path / "job"), "BATCHING_SPOOL_DIR": ""}
    async with crawling(tmp_path, RESUMED, BATCHING_URL=f"http://127.0.0.1:{free_port}", **job) as crawl:
        await crawl.line("EVERY ITEM IS TAKEN")
        crawl.process.kill()
        await crawl.end()
    await crawled(tmp_path, RESUMED, BATCHING_URL=server.url, **job)
    assert numbers(server) == list(range(7))
    assert list((tmp_path / "job").rglob("*.ndjson")) == []


async def test_without_leftovers_a_crawl_without_items_opens_nothing(tmp_path):
    async with counting_door() as door:
        crawl = await crawled(tmp_path, BATCHING_URL=door.url, HOW_MANY=0)
    assert door.knocks == 0
    assert not (tmp_path / "spool").exists()
    assert crawl.batching()["items/enqueued"] == 0


async def test_it_gives_up_at_the_close_timeout_and_leaves_them(free_port, tmp_path):
    left_by(tmp_path / "spool", 2, 3)
    more = {"BATCHING_CLOSE_TIMEOUT": 0.5, "HOW_MANY": 0}
    crawl = await crawled(tmp_path, BATCHING_URL=f"http://127.0.0.1:{free_port}", **more)
    assert len(crawl.waiting()) == 5
    assert "batching: the server takes nothing" in crawl.log
    (line,) = [one for one in crawl.log.splitlines() if "WARNING" in one and "(BATCHING_CLOSE_TIMEOUT)" in one]
    assert "5 items" in line


async def test_a_signal_and_another_while_they_are_sent_leave_them(server, tmp_path):
    holding = Holding()
    server.always = holding
    left_by(tmp_path / "spool", 2)
    async with crawling(tmp_path, BATCHING_URL=server.url, HOW_MANY=0) as crawl:
        await holding.reached.wait()
        crawl.signal()
        await crawl.line("shutting down gracefully")
        crawl.signal()
        await crawl.end()
    holding.go.set()
    assert len(crawl.waiting()) == 2


@pytest.mark.parametrize(
    "command",
    [
        ["shell", "PAGE", "-c", "response.text"],
        ["fetch", "PAGE"],
        ["fetch", "--spider", "numbers", "PAGE"],
        ["parse", "PAGE", "--spider", "numbers", "--callback", "nothing", "--pipelines"],
        ["check"],
    ],
    ids=" ".join,
)
async def test_what_is_no_crawl_touches_no_leftovers(tmp_path, command):
    spool = tmp_path / "spool"
    left_by(spool, 2)
    before = tree(spool)
    async with counting_door() as door:
        ours = project(
            tmp_path / "shop",
            ADDONS=OURS,
            BATCHING_URL=door.url,
            BATCHING_SPOOL_DIR=str(spool),
            BATCHING_CLOSE_TIMEOUT=1,
        )
        page = (ours / "page.html").as_uri()
        code, log = await scrapy(ours, *(page if part == "PAGE" else part for part in command))
    assert code == 0, log
    assert door.knocks == 0
    assert tree(spool) == before


async def test_the_crawl_command_without_items_does(server, tmp_path):
    """What the test above must be able to see."""
    spool = tmp_path / "spool"
    left_by(spool, 2)
    ours = project(tmp_path / "shop", ADDONS=OURS, BATCHING_URL=server.url, BATCHING_SPOOL_DIR=str(spool))
    code, log = await scrapy(ours, "crawl", "numbers", "-a", "count=0")
    assert code == 0, log
    assert numbers(server) == [0, 1]
    assert tree(spool) == []
    assert server.closes[-1]["items"] == 2
