"""Real crawls in every way that Scrapy runs: scripts of each kind, and its two commands."""

import pytest

from tests.scrapy_batching.crawls import MODES, balanced, crawled
from tests.scrapy_batching.runs.shop import PROCESSES, project, scrapy, tree

OURS = {"scrapy_batching.Addon": 500}


@pytest.mark.parametrize("mode", MODES)
async def test_every_item_arrives_once_and_the_stats_are_dumped(server, tmp_path, mode):
    crawl = await crawled(tmp_path, mode=mode, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=3)
    assert sorted(item["n"] for item in server.items) == list(range(7))
    stats = crawl.batching()
    assert stats["items/delivered"] == 7
    assert balanced(stats)
    assert (stats["flush/count"], stats["flush/idle"]) == (2, 1), "the last item does not wait for the close"
    assert stats["server/missing"] == 0
    assert "Unclosed" not in crawl.log
    assert "ERROR" not in crawl.log
    assert {batch.table for batch in server.batches.values()} == {"numbers"}
    assert [close["reason"] for close in server.closes] == ["finished"]
    assert crawl.log.count("7 items taken · 7 delivered") == 1


@pytest.mark.parametrize(("process", "settings"), PROCESSES.items(), ids=PROCESSES)
@pytest.mark.parametrize(
    "command", [["crawl", "numbers"], ["runspider", "shop/spiders/figures.py"]], ids=lambda c: c[0]
)
async def test_a_command_delivers_and_leaves_an_empty_spool(server, tmp_path, command, process, settings):
    """`scrapy crawl` and `scrapy runspider`, each over the process that the settings choose."""
    ours = project(tmp_path, ADDONS=OURS, BATCHING_URL=server.url, **settings)
    code, log = await scrapy(ours, *command, "-a", "count=5")
    assert code == 0, log
    assert f"Using {process.partition(' ')[0]}" in log
    assert sorted(item["n"] for item in server.items) == list(range(5))
    assert log.count("5 items taken · 5 delivered") == 1
    assert [name for name in tree(ours / "home") if name.endswith(".ndjson")] == []
