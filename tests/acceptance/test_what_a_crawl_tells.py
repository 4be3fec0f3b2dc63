"""What a person sees of real crawls over the real server: the line at the end, stats, signals, the spool's commands."""

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg

from tests.asking import Asker
from tests.running import RunningServer
from tests.scrapy_batching.commands.typed import typing
from tests.scrapy_batching.crawls import Crawl, balanced, crawled

BOOKS = """
from scrapy_batching import signals

class Listener:
    def __init__(self, crawler):
        crawler.signals.connect(self.delivered, signals.batch_delivered)
        crawler.signals.connect(self.failed, signals.batch_failed)

    @classmethod
    def from_crawler(cls, crawler):
        return cls(crawler)

    def delivered(self, table, items, dead_letters):
        self.write("delivered", table, items)

    def failed(self, table, items, fate, status):
        self.write(fate, table, items, status)

    def write(self, *what):
        with Path("heard.jsonl").open("a") as out:
            out.write(json.dumps(what) + "\\n")

SETTINGS["EXTENSIONS"] = {Listener: 0}

class Books(scrapy.Spider):
    name = "books"
    async def start(self):
        for isbn, price in self.settings.getdict("BOOKS").items():
            yield {"isbn": isbn, "price": price}

SPIDERS = [Books]
"""


def heard(directory: Path) -> list[list[Any]]:
    return [json.loads(line) for line in (directory / "heard.jsonl").read_text().splitlines()]


def last_line(crawl: Crawl) -> str:
    (line,) = [one for one in crawl.log.splitlines() if " items taken · " in one]
    return line.partition("items taken · ")[2]


async def crawl_of(directory: Path, url: str, **books: object) -> Crawl:
    return await crawled(directory, BOOKS, BATCHING_URL=url, BOOKS=books)


async def test_the_line_at_the_end_says_what_the_server_committed(
    server: RunningServer, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await sql.execute("CREATE TABLE books (isbn text PRIMARY KEY, price numeric NOT NULL)")
    first = await crawl_of(tmp_path, server.url, a=1, b=2, c=3)
    assert last_line(first) == (
        "3 delivered · 0 rejected · 0 spooled · 0 dropped; server: 3 committed (3 inserted), 0 dead letters"
    )
    second = await crawl_of(tmp_path, server.url, a=1, b=20, d=4, e="cheap")
    assert last_line(second) == (
        "4 delivered · 0 rejected · 0 spooled · 0 dropped;"
        " server: 3 committed (1 inserted · 1 updated · 1 unchanged), 1 dead letter"
    )
    stats = second.batching(1)
    assert balanced(stats)
    assert (stats["server/succeeded"], stats["server/failed"], stats["server/missing"]) == (3, 1, 0)
    assert heard(tmp_path) == [["delivered", "books", 3], ["delivered", "books", 4]]
    assert await sql.fetchval("SELECT count(*) FROM books") == 4


async def test_what_one_crawl_leaves_another_recovers_and_each_says_so(
    server: RunningServer, sql: asyncpg.Connection, tmp_path: Path, free_port: int
) -> None:
    away = f"http://127.0.0.1:{free_port}"
    first = await crawled(tmp_path, BOOKS, BATCHING_URL=away, BOOKS={"a": 1, "b": 2}, BATCHING_CLOSE_TIMEOUT=0.1)
    assert (first.batching()["items/spooled"], first.batching()["items/pending"]) == (2, 0)
    assert heard(tmp_path) == [["spooled", "books", 2, None]]
    _, told, _ = await typing(tmp_path, "status", "--ids", "--json")
    (row,) = json.loads(told)["rows"]
    code, shown, _ = await typing(tmp_path, "show", row["id"], "--json")
    assert code == 0
    assert [json.loads(line) for line in shown.splitlines()[1:]] == [
        {"isbn": "a", "price": 1},
        {"isbn": "b", "price": 2},
    ]
    second = await crawled(tmp_path, BOOKS, BATCHING_URL=server.url, BOOKS={"c": 3})
    stats = second.batching(1)
    assert (stats["items/enqueued"], stats["items/delivered"], stats["items/recovered"]) == (1, 1, 2)
    assert balanced(stats)
    await asyncio.to_thread(Asker(server.port).settled, row["id"])
    assert await sql.fetchval("SELECT count(*) FROM books") == 3
    assert (await typing(tmp_path, "show", row["id"]))[0] == 1
