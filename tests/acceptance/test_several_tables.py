"""One spider, several kinds of items, a real server: every item is in the table that the rules name."""

import json
from pathlib import Path

import asyncpg
import pytest

from scrapy_batching.start_check import StartCheck
from scrapy_batching.telemetry.start import StartTelemetry
from scrapy_batching.wire.way import Way
from tests.running import RunningServer, running_server
from tests.scrapy_batching.crawls import balanced, crawled, crawling

SPIDER = """
import dataclasses
import attrs
from typing import ClassVar

class Book(scrapy.Item):
    n = scrapy.Field()

class RareBook(Book):
    pass

@dataclasses.dataclass
class HTTPResult:
    n: int

@dataclasses.dataclass
class Film:
    n: int

@attrs.define
class Song:
    batching_table: ClassVar[str] = "music.songs"
    n: int

@dataclasses.dataclass
class Reading:
    n: int

    @property
    def batching_table(self):
        return f"reading_{self.n % 2}"

def by_parity(item):
    return "even_films" if item.n % 2 == 0 else "odd_films"

class Shop(scrapy.Spider):
    name = "shop.example"
    custom_settings = {
        "BATCHING_TABLES": {Book: '"books"', "__main__.Film": by_parity},
        "BATCHING_BATCH_ITEMS": 7,
        "BATCHING_START_CHECK": "fail",
    }
    async def start(self):
        for n in range(40):
            yield {"n": n}
            for kind in (Book, RareBook, HTTPResult, Film, Song, Reading):
                yield kind(n=n)

SPIDERS = [Shop]
"""
EVEN, ODD, ALL = [*range(0, 40, 2)], [*range(1, 40, 2)], [*range(40)]
WANTED = {
    '"shop.example"': ALL,
    "books": sorted(ALL + ALL),
    "http_result": ALL,
    "even_films": EVEN,
    "odd_films": ODD,
    "music.songs": ALL,
    "reading_0": EVEN,
    "reading_1": ODD,
}


@pytest.fixture
async def music(sql: asyncpg.Connection) -> None:
    """A landing table in a schema is only made where the schema is there."""
    await sql.execute("CREATE SCHEMA music")


@pytest.mark.usefixtures("music")
async def test_every_item_is_in_its_own_table(server: RunningServer, sql: asyncpg.Connection, tmp_path: Path) -> None:
    crawl = await crawled(tmp_path, SPIDER, BATCHING_URL=server.url)
    assert "is ready for this crawl" in crawl.log
    found = {
        table: sorted(json.loads(row["item"])["n"] for row in await sql.fetch(f"SELECT item FROM {table}"))
        for table in WANTED
    }
    assert found == WANTED
    stats = crawl.batching()
    assert stats["items/delivered"] == stats["server/succeeded"] == 280
    assert stats["server/missing"] == 0
    assert balanced(stats)


async def test_a_table_that_the_server_does_not_have_is_told_before_the_crawl(
    database: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    """And the questions leave nothing behind: no table, no batch."""
    with running_server("--database", database) as server:
        async with crawling(tmp_path, SPIDER, BATCHING_URL=server.url) as crawl:
            await crawl.end()
    assert "there is no table books (404" in crawl.log
    assert "the crawl ends here (BATCHING_START_CHECK = 'fail')" in crawl.log
    assert "if this spider yields dicts" not in crawl.log, "what is certain is enough"
    assert await sql.fetchval("SELECT to_regclass('books')") is None
    assert await sql.fetchval("SELECT count(*) FROM ingest.batches") == 0


async def test_asking_makes_no_table(server: RunningServer, sql: asyncpg.Connection) -> None:
    """Although this server would make one with the first batch."""
    check = StartCheck(
        Way(url=server.url, crawl=""),
        tables=["books"],
        maybe='"shop.example"',
        fails=True,
        telemetry=StartTelemetry(spider=None),
    )
    await check()
    assert await sql.fetchval("SELECT to_regclass('books')") is None
    assert await sql.fetchval("SELECT count(*) FROM ingest.batches") == 0
