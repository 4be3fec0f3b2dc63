"""A crawl that is killed and the one after it, with the real server between: every item that was taken is a row, once."""

import asyncpg

from tests.running import RunningServer
from tests.scrapy_batching.crawls import crawled, crawling
from tests.scrapy_batching.test_killed import KILLED


async def test_what_a_killed_crawl_had_taken_is_in_the_table_once(
    server: RunningServer, sql: asyncpg.Connection, tmp_path
) -> None:
    more = {"KILL_AT": 2_345, "BATCHING_BATCH_ITEMS": 100, "LOG_LEVEL": "WARNING"}
    async with crawling(tmp_path, KILLED, BATCHING_URL=server.url, BATCHING_CRAWL_ID="first", **more) as crawl:
        assert await crawl.end() == -9
    taken = {int(line) for line in (tmp_path / "seen").read_text().split()} - {-1}
    assert crawl.waiting(), "else there is nothing to see"
    crawl = await crawled(tmp_path, BATCHING_URL=server.url, BATCHING_CRAWL_ID="second")
    assert crawl.runs == []
    rows = await sql.fetch("SELECT crawl, (item->>'n')::int AS n FROM numbers")
    first = [row["n"] for row in rows if row["crawl"] == "first"]
    assert taken <= set(first)
    assert len(first) == len(set(first))
    assert sorted(row["n"] for row in rows if row["crawl"] == "second") == list(range(7))


async def test_a_crawl_takes_journaled_for_an_answer(server: RunningServer, tmp_path) -> None:
    """No sender waits for a commit, and no file stays."""
    crawl = await crawled(tmp_path, BATCHING_URL=server.url, HOW_MANY=2_000, BATCHING_BATCH_ITEMS=100)
    assert crawl.batching()["status/202"] > 0
    assert crawl.batching()["items/delivered"] == 2_000
    assert crawl.runs == []
