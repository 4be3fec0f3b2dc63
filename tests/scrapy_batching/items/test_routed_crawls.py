"""Real crawls of several tables, and of items that have none."""

import json

import pytest

from tests.scrapy_batching.crawls import balanced, crawled
from tests.scrapy_batching.projects import project_in, scrapy

SPIDER = """
import dataclasses
from scrapy.exceptions import DropItem

class Book(scrapy.Item):
    n = scrapy.Field()

class Rare(Book):
    pass

@dataclasses.dataclass
class Film:
    n: int

    @property
    def batching_table(self):
        return f"films_{self.n}"

@dataclasses.dataclass
class Broken:
    n: int

def by_n(item):
    if item.n == 8:
        raise KeyError("s3cret of the page")
    return "" if item.n == 9 else "kept"

class Shop(scrapy.Spider):
    name = "shop"
    custom_settings = {
        "BATCHING_TABLES": {Book: "archive.books", Broken: by_n},
        "ITEM_PIPELINES": {"__main__.Doubles": 800, "__main__.Later": 950},
    }
    async def start(self):
        yield {"n": 1}
        yield Book(n=2)
        yield Rare(n=3)
        yield Film(4)
        for n in (7, 8, 9):
            yield Broken(n)

class Doubles:
    def process_item(self, item):
        if isinstance(item, dict):
            item["n"] = 100
        return item

class Later:
    seen = []
    def process_item(self, item):
        self.seen.append(item)
        print("LATER", len(self.seen), flush=True)
        if isinstance(item, dict):
            item["n"] = 200
        return item

SPIDERS = [Shop]
"""


async def test_one_spider_several_tables_and_an_item_without_one_harms_nobody(server, tmp_path):
    crawl = await crawled(tmp_path, SPIDER, BATCHING_URL=server.url)
    tables = {}
    for batch in server.batches.values():
        tables.setdefault(batch.table, []).extend(item["n"] for item in batch.items)
    # 100: what a pipeline before ours made of it; 200 would be what one after ours did.
    assert tables == {"shop": [100], "archive.books": [2, 3], "films_4": [4], "kept": [7]}
    stats = crawl.batching()
    assert (stats["items/enqueued"], stats["items/rejected"], stats["items/delivered"]) == (7, 2, 5)
    assert balanced(stats)
    assert server.closes[0]["rejected"] == 2
    assert "LATER 7" in crawl.log, "what is rejected goes on to the next pipelines"
    assert crawl.log.count("batching rejects an item: Broken has no table: the callable in BATCHING_TABLES") == 2
    assert "raised KeyError in by_n" in crawl.log
    assert "s3cret" not in crawl.log


async def test_the_command_line_gives_tables_as_json(server, tmp_path):
    project_in(tmp_path)
    tables = json.dumps({"dict": "figures"})
    code, log = await scrapy(tmp_path, "crawl", "numbers", BATCHING_URL=server.url, BATCHING_TABLES=tables)
    assert code == 0, log
    assert {batch.table for batch in server.batches.values()} == {"figures"}


@pytest.mark.parametrize("command", [["crawl", "numbers"], ["runspider", "shop/spiders/one.py"]], ids=" ".join)
async def test_every_mistake_of_every_option_at_once_with_exit_code_1(server, tmp_path, command):
    project_in(tmp_path, items="import scrapy\n\nclass Book(scrapy.Item):\n    pass\n")
    wrong = {
        "BATCHING_URL": "http://me:s3cret@h",
        "BATCHING_TOKEN": "two s3cret",
        "BATCHING_TOKN": "s3cret",
        "BATCHING_BATCH_ITEMS": "0",
        "BATCHING_START_CHECK": "maybe",
        "BATCHING_TABLES": '{"shop.items.Bok": "books"}',
        "BATCHING_ITEM_FILTER": "shop.items.Book",
        "BATCHING_SPOOL_DIR": "scrapy.cfg/spool",
    }
    code, log = await scrapy(tmp_path, *command, **wrong)
    assert code == 1
    _, _, said = log.partition("SettingsRefused: ")
    told = [line.split(" = ")[0].strip() for line in said.strip().splitlines()[1:]]
    assert sorted(told) == sorted(wrong)
    assert "did you mean shop.items.Book?" in said
    assert "did you mean BATCHING_TOKEN?" in said
    assert "has no method `accepts(item)`" in said
    assert "s3cret" not in log
    assert server.sent == []


async def test_broken_json_on_the_command_line_is_told_with_what_to_write(tmp_path):
    project_in(tmp_path)
    code, log = await scrapy(tmp_path, "crawl", "numbers", BATCHING_TABLES="{books}")
    assert code == 1
    assert """write a JSON object, as in -s BATCHING_TABLES='{"myproject.items.Book": "books"}'""" in log


async def test_a_spider_with_a_name_too_long_for_a_table_is_told_before_it_starts(tmp_path):
    spider = 'import scrapy\n\nclass Long(scrapy.Spider):\n    name = "x" * 64\n'
    project_in(tmp_path, spider)
    code, log = await scrapy(tmp_path, "crawl", "x" * 64)
    assert code == 1
    assert "BATCHING_TABLES = {'dict': 'books'}" in log
    code, log = await scrapy(tmp_path, "crawl", "x" * 64, BATCHING_TABLES='{"dict": "books"}')
    assert code == 0, log


async def test_what_is_switched_off_is_not_read(tmp_path):
    project_in(tmp_path, settings='ITEM_PIPELINES = {"scrapy_batching.BatchingPipeline": 900}\n')
    code, log = await scrapy(tmp_path, "crawl", "numbers", BATCHING_ENABLED=False, BATCHING_BATCH_ITEMS=0, ADDONS="{}")
    assert code == 0, log
    assert "'item_scraped_count': 7" in log
