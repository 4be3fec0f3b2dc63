"""Real crawls in every way that Scrapy runs."""

import pytest

from tests.scrapy_batching.crawls import MODES, balanced, crawled


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
