"""The pipeline's own promises, in this process and in real crawls."""

import asyncio
import dataclasses
import json

import pytest
import scrapy
from scrapy.utils.test import get_crawler

from scrapy_batching import BatchingPipeline
from tests.scrapy_batching.crawls import balanced, crawled
from tests.scrapy_batching.fake_server import Holding, says


@dataclasses.dataclass
class HTTPResult:
    n: int


class Book(scrapy.Item):
    n = scrapy.Field()


class Spider(scrapy.Spider):
    name = "shop.example"


@pytest.fixture
async def make(server, tmp_path):
    made = []

    def pipeline(**settings):
        crawler = get_crawler(
            Spider, {"BATCHING_URL": server.url, "BATCHING_SPOOL_DIR": str(tmp_path / "spool")} | settings
        )
        one = BatchingPipeline.from_crawler(crawler)
        made.append((one, crawler))
        one.stats = crawler.stats
        return one

    yield pipeline
    for one, _ in made:
        await one.engine_stopped()


def stats_of(pipeline):
    return {name.removeprefix("batching/"): n for name, n in pipeline.stats.get_stats().items()}


async def test_items_of_a_class_go_to_its_table_and_dicts_to_the_spider_s(server, make):
    pipeline = make()
    for item in ({"n": 1}, HTTPResult(2), Book(n=3), HTTPResult(4)):
        assert pipeline.process_item(item) is item
    await pipeline.close_spider()
    tables = {batch.table: [item["n"] for item in batch.items] for batch in server.batches.values()}
    # The dot would make it table `example` in schema `shop`.
    assert tables == {'"shop.example"': [1], "http_result": [2, 4], "book": [3]}


@pytest.mark.parametrize("item", [{"n": 1}, {"n": object()}], ids=["taken", "rejected"])
async def test_the_crawl_s_id_is_logged_with_its_first_item(server, make, tmp_path, caplog, item):
    """A crawl that is killed says it nowhere else, and without it nobody can audit the crawl."""
    pipeline = make(BATCHING_TOKEN="s3cret-token", BATCHING_CRAWL_ID="mine")
    with caplog.at_level("INFO"):
        assert "mine" not in caplog.text
        pipeline.process_item(item)
        pipeline.process_item(item)
    (line,) = [one.getMessage() for one in caplog.records if "the crawl's id is mine;" in one.getMessage()]
    assert server.url in line
    assert str(tmp_path / "spool") in line
    assert "s3cret" not in caplog.text


async def test_what_happens_to_an_item_afterwards_is_its_own_affair(server, make):
    pipeline = make()
    item = {"tags": ["a"]}
    pipeline.process_item(item)
    item["tags"].append("b")
    await pipeline.close_spider()
    assert server.items == [{"tags": ["a"]}]


async def test_the_stats_are_right_as_soon_as_the_spider_is_closed(make):
    """Whoever reads them in a spider_closed handler (Spidermon) may be called before ours."""
    pipeline = make()
    pipeline.process_item({"n": 1})
    await pipeline.close_spider()
    stats = stats_of(pipeline)
    assert (stats["items/enqueued"], stats["items/delivered"]) == (1, 1)


async def test_an_item_without_a_form_is_counted_and_handed_on(server, make, caplog):
    pipeline = make()
    item = {"n": object()}
    assert pipeline.process_item(item) is item
    pipeline.process_item({"n": 1})
    await pipeline.spider_closed("finished")
    stats = stats_of(pipeline)
    assert (stats["items/enqueued"], stats["items/rejected"], stats["items/delivered"]) == (2, 1, 1)
    assert balanced(stats)
    assert "dict cannot be written as JSON: a builtins.object at n" in caplog.text
    assert server.closes[0]["items"] == 2
    assert server.closes[0]["rejected"] == 1


async def test_a_crawl_whose_every_item_was_rejected_is_closed_on_the_server_too(server, make):
    pipeline = make()
    pipeline.process_item({"n": object()})
    await pipeline.spider_closed("finished")
    assert server.closes[0]["rejected"] == 1


async def test_altered_items_are_counted(make):
    pipeline = make()
    pipeline.process_item({"n": float("nan")})
    await pipeline.close_spider()
    assert stats_of(pipeline)["items/altered"] == 1


async def test_without_items_the_end_of_a_crawl_does_nothing(server, make, tmp_path):
    pipeline = make()
    pipeline.spider_idle()
    await pipeline.close_spider()
    await pipeline.spider_closed("finished")
    await pipeline.engine_stopped()
    assert server.sent == server.closes == []
    assert not (tmp_path / "spool").exists()
    stats = stats_of(pipeline)
    assert stats["items/enqueued"] == stats["batches/sent"] == 0


@pytest.mark.parametrize(
    "order",
    [
        ["close_spider", "spider_closed", "engine_stopped"],
        ["spider_closed", "engine_stopped"],
        ["engine_stopped"],
        ["engine_stopped", "spider_closed", "close_spider", "close_spider"],
        ["spider_closed", "spider_closed", "engine_stopped", "engine_stopped"],
    ],
    ids=" ".join,
)
async def test_the_ends_may_come_in_any_order_and_twice(server, make, order):
    pipeline = make()
    pipeline.process_item({"n": 1})
    for name in order:
        hook = getattr(pipeline, name)
        await (hook("finished") if name == "spider_closed" else hook())
    assert len(server.items) == 1
    assert len(server.closes) == 1
    assert stats_of(pipeline)["items/delivered"] == 1


async def test_the_ends_may_come_at_once_and_be_cut_off(server, make):
    """A cancelled close_spider leaves the delivering to the others."""
    holding = Holding()
    server.tricks.append(holding)
    pipeline = make()
    pipeline.process_item({"n": 1})
    closing = asyncio.create_task(pipeline.close_spider())
    await holding.reached.wait()
    closing.cancel()
    others = [asyncio.create_task(pipeline.spider_closed("shutdown")), asyncio.create_task(pipeline.engine_stopped())]
    holding.go.set()
    await asyncio.gather(*others)
    assert closing.cancelled()
    assert len(server.items) == len(server.closes) == len(server.sent) == 1


async def test_an_item_after_the_close_is_delivered_by_the_next_end(server, make):
    """A spider's start() may still yield while the pipelines close."""
    pipeline = make()
    pipeline.process_item({"n": 1})
    await pipeline.close_spider()
    pipeline.process_item({"n": 2})
    await pipeline.spider_closed("finished")
    assert len(server.items) == 2
    pipeline.process_item({"n": 3})
    await pipeline.engine_stopped()
    assert len(server.items) == 3
    assert [close["items"] for close in server.closes] == [2, 3]


async def test_idle_sends_what_is_there(server, make):
    pipeline = make(BATCHING_BATCH_AGE=1_000)
    pipeline.process_item({"n": 1})
    pipeline.spider_idle()
    await server.arrived.wait()
    await pipeline.close_spider()
    assert stats_of(pipeline)["flush/idle"] == 1


async def test_age_sends_what_is_there_and_goes_on_after_a_defect(server, make, monkeypatch, caplog):
    pipeline = make(BATCHING_BATCH_AGE=0.01)
    close_due, failures = pipeline._intake._batches.close_due, iter([ZeroDivisionError])

    def fails_once():
        for failure in failures:
            raise failure
        return close_due()

    monkeypatch.setattr(pipeline._intake._batches, "close_due", fails_once)
    pipeline.process_item({"n": 1})
    await server.arrived.wait()
    assert "closing a batch by its age failed" in caplog.text
    server.arrived.clear()
    await pipeline.close_spider()
    pipeline.process_item({"n": 2})
    await server.arrived.wait()
    await pipeline.close_spider()
    assert stats_of(pipeline)["flush/age"] == 2


async def test_the_crawl_s_close_tells_what_is_in_the_spool(server, make, tmp_path):
    server.tricks.append(says(404, "no such table"))
    pipeline = make(BATCHING_CRAWL_ID="mine")
    pipeline.process_item({"n": 1})
    await pipeline.spider_closed("finished")
    assert server.closes == [
        {"crawl": "mine", "items": 1, "rejected": 0, "dropped": 0, "spooled": 1, "reason": "finished"}
    ]
    (about,) = (tmp_path / "spool").glob("*/about.json")
    assert json.loads(about.read_text())["crawl"] == "mine"


async def test_batches_close_by_count_and_bytes(server, make):
    pipeline = make(BATCHING_BATCH_ITEMS=2, BATCHING_BATCH_BYTES=200)
    for n in range(4):
        pipeline.process_item({"n": n})
    pipeline.process_item({"n": "x" * 300})
    await pipeline.close_spider()
    stats = stats_of(pipeline)
    assert (stats["flush/count"], stats["flush/bytes"]) == (2, 1)
    assert len(server.items) == 5


def test_settings_are_checked_when_the_pipeline_is_made():
    with pytest.raises(ValueError, match="BATCHING_BATCH_ITEMS"):
        BatchingPipeline.from_crawler(get_crawler(Spider, {"BATCHING_BATCH_ITEMS": 0}))


TRICKLE = """
from scrapy_batching.water import Water

class Trickle(scrapy.Spider):
    name = "trickle"
    async def start(self):
        for n in range(3):
            yield {"n": n}
            # Goes on only when that one was delivered: nothing but its age can have sent it.
            while True:
                await asyncio.sleep(0)
                if Water.of(self.crawler).items == 0:
                    break

SPIDERS = [Trickle]
"""


async def test_a_trickle_of_items_does_not_wait_for_a_full_batch(server, tmp_path):
    crawl = await crawled(tmp_path, TRICKLE, BATCHING_URL=server.url, BATCHING_BATCH_AGE=0.05)
    stats = crawl.batching()
    assert stats["flush/age"] >= 2
    assert stats["items/delivered"] == 3


MIXED = """
class Mixed(scrapy.Spider):
    name = "mixed"
    async def start(self):
        yield {"n": 1}
        yield {"n": complex(1, 2)}
        yield {"n": 3}

SPIDERS = [Mixed]
"""


async def test_a_feed_gets_every_item_the_rejected_one_too(server, tmp_path):
    feeds = {str(tmp_path / "items.csv"): {"format": "csv"}}
    crawl = await crawled(tmp_path, MIXED, BATCHING_URL=server.url, FEEDS=feeds)
    assert sorted((tmp_path / "items.csv").read_text().split()) == ["(1+2j)", "1", "3", "n"]
    assert crawl.stats[0]["item_scraped_count"] == 3
    stats = crawl.batching()
    assert (stats["items/delivered"], stats["items/rejected"]) == (2, 1)
    assert balanced(stats)
    assert "dict cannot be written as JSON: a builtins.complex at n" in crawl.log
