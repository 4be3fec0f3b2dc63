"""The pipelines that ours is measured beside, and the settings that switch one of them on."""

from pathlib import Path
from typing import Any, Self

import asyncpg
import psycopg
from itemadapter import ItemAdapter
from psycopg.types.json import Jsonb
from scrapy.crawler import Crawler

from loadtests.items import row
from loadtests.pipeline.listings import LISTING
from loadtests.pipeline.plan import Order

FEED = "items.jsonl"
_DSN = "LOADTESTS_DSN"
_TABLE = "LOADTESTS_TABLE"


class Empty:
    """What any pipeline costs at least."""

    def process_item(self, item: Any) -> Any:
        return item


class _OneByOne:
    """Reads where to write, as the tutorials do."""

    def __init__(self, dsn: str, table: str) -> None:
        self._dsn = dsn
        self._table = table

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler.settings[_DSN], crawler.settings[_TABLE])

    def _insert(self, places: list[str]) -> str:
        return f"INSERT INTO {self._table} ({', '.join(LISTING.names)}) VALUES ({', '.join(places)})"


class Psycopg(_OneByOne):
    """The usual one: a connection, a cursor, and for each item an INSERT and a commit."""

    def open_spider(self) -> None:
        self._connection = psycopg.connect(self._dsn)
        self._cursor = self._connection.cursor()
        self._sql = self._insert(["%s"] * len(LISTING.names))

    def close_spider(self) -> None:
        self._cursor.close()
        self._connection.close()

    def process_item(self, item: Any) -> Any:
        fields = ItemAdapter(item)
        values = [Jsonb(fields[name]) if kind == "jsonb" else fields[name] for name, kind in LISTING.columns]
        self._cursor.execute(self._sql, values)
        self._connection.commit()
        return item


class Asyncpg(_OneByOne):
    """The same without blocking: a pool, and an INSERT for each item, awaited."""

    async def open_spider(self) -> None:
        self._pool = await asyncpg.create_pool(self._dsn)
        self._sql = self._insert([f"${number}" for number in range(1, len(LISTING.names) + 1)])

    async def close_spider(self) -> None:
        await self._pool.close()

    async def process_item(self, item: Any) -> Any:
        await self._pool.execute(self._sql, *row(LISTING, ItemAdapter(item)))
        return item


def settings_of(order: Order) -> dict[str, Any]:
    """What a project would have in its settings file."""
    feed = Path(order.directory) / FEED
    known: dict[str, dict[str, Any]] = {
        "none": {},
        "empty": {"ITEM_PIPELINES": {Empty: 300}},
        "ours": {
            "ADDONS": {"scrapy_batching.Addon": 500},
            "BATCHING_URL": order.server,
            "BATCHING_SPOOL_DIR": str(Path(order.directory) / "spool"),
        },
        "feed": {"FEEDS": {feed: {"format": "jsonlines"}}},
        "psycopg": {"ITEM_PIPELINES": {Psycopg: 300}, _DSN: order.dsn, _TABLE: order.table},
        "asyncpg": {"ITEM_PIPELINES": {Asyncpg: 300}, _DSN: order.dsn, _TABLE: order.table},
    }
    return known[order.contender]
