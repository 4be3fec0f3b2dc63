"""Items that are too large or too deep for the server: none is lost, none is quiet, and none holds its table up."""

import json
from pathlib import Path

import asyncpg
import pytest

from tests.asking import Asker
from tests.running import RunningServer
from tests.scrapy_batching.crawls import balanced, crawled

SPIDER = """
class Large(scrapy.Spider):
    name = "large"
    async def start(self):
        yield {"n": 0}
        for n, size in enumerate((9_000_000, 20_000_000, 5_000_000, 70_000_000), 1):
            yield {"n": n, "x": "y" * size}
        for n, levels in ((10, 100), (11, 101), (12, 300), (13, 301)):
            item = 1
            for _ in range(levels - 1):
                item = {"d": item}
            yield {"n": n, "d": item}
        yield {"n": 20}

SPIDERS = [Large]
"""


@pytest.mark.parametrize(
    "settings",
    [{}, {"BATCHING_COMPRESSION": "gzip"}, {"BATCHING_SPOOL": False}, {"BATCHING_BATCH_BYTES": 200_000_000}],
    ids=["usual", "compressed", "no spool", "in one batch"],
)
async def test_items_beyond_the_servers_limits_are_refused_loudly_and_kept(
    server: RunningServer, sql: asyncpg.Connection, tmp_path: Path, settings: dict[str, object]
) -> None:
    crawl = await crawled(
        tmp_path, SPIDER, BATCHING_URL=server.url, LOG_LEVEL="INFO", LOG_SCRAPED_ITEMS=False, **settings
    )
    stats = crawl.batching()
    # Three are larger than 8 MiB; one has more levels than the crawl writes.
    assert (stats["items/enqueued"], stats["items/rejected"], stats["items/delivered"]) == (10, 4, 6)
    assert balanced(stats)
    assert "413 Content too large" in crawl.log
    assert "dict cannot be written as JSON: nested too deep, with more than 300 levels, at d.d.d." in crawl.log
    refused = (tmp_path / "spool" / "refused").glob("*/*.ndjson")
    assert sorted(json.loads(file.read_bytes())["n"] for file in refused) == [1, 2, 4]
    # Two are too deep for the server, and lie there as dead letters.
    assert (stats["server/succeeded"], stats["server/failed"], stats["server/missing"]) == (4, 2, 0)
    rows = await sql.fetch("SELECT item->>'n' FROM large")
    assert sorted(int(row[0]) for row in rows) == [0, 3, 10, 20]
    letters = Asker(server.port).get("/v1/dead-letters?table=large").json
    assert "is nested deeper than 100 levels" in json.dumps(letters)
