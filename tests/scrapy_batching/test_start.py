"""What happens before the first item: nothing; and what a crawl that cannot deliver says."""

import json

import pytest
from scrapy.exceptions import NotConfigured
from scrapy.settings import Settings

import scrapy_batching
from scrapy_batching import Addon, BatchingGate, BatchingPipeline
from tests.scrapy_batching.crawls import NUMBERS, crawled
from tests.scrapy_batching.runs.shop import scrapy

ADDONS = json.dumps({"scrapy_batching.Addon": 500})


def test_the_public_names_are_complete_and_sorted():
    assert scrapy_batching.__all__ == sorted(scrapy_batching.__all__)
    assert all(hasattr(scrapy_batching, name) for name in scrapy_batching.__all__)
    for module in (scrapy_batching.addon, scrapy_batching.gate, scrapy_batching.pipeline, scrapy_batching.errors):
        own = {name for name, one in vars(module).items() if getattr(one, "__module__", "") == module.__name__}
        public = {name for name in own if name[0].isupper()}
        assert public <= set(scrapy_batching.__all__)


def test_the_addon_adds_both_parts():
    settings = Settings({"ITEM_PIPELINES": {"some.Pipeline": 100}}, priority="project")
    settings.set("ITEM_PIPELINES", {}, priority="project")
    Addon().update_settings(settings)
    assert settings.getdict("ITEM_PIPELINES") == {BatchingPipeline: 900}
    assert settings.getdict("SPIDER_MIDDLEWARES") == {BatchingGate: 10}


def test_the_addon_leaves_what_a_project_placed_itself():
    settings = Settings({"ITEM_PIPELINES": {"scrapy_batching.BatchingPipeline": 50}})
    Addon().update_settings(settings)
    assert settings.getdict("ITEM_PIPELINES") == {"scrapy_batching.BatchingPipeline": 50}


def test_the_addon_may_be_switched_off():
    with pytest.raises(NotConfigured):
        Addon().update_settings(Settings({"BATCHING_ENABLED": "0"}))


@pytest.mark.parametrize("placed", [{}, {"ITEM_PIPELINES": {"scrapy_batching.BatchingPipeline": 900}}])
async def test_a_crawl_that_is_switched_off_sends_nothing(server, tmp_path, placed):
    crawl = await crawled(tmp_path, BATCHING_URL=server.url, BATCHING_ENABLED=False, **placed)
    assert server.sent == server.closes == []
    assert crawl.batching() == {}
    assert crawl.stats[0]["item_scraped_count"] == 7


async def test_wrong_settings_stop_the_crawl_with_exit_code_1_and_every_remedy(tmp_path):
    (tmp_path / "spider.py").write_text("import scrapy\n" + NUMBERS)
    wrong = {"BATCHING_BATCH_ITEMS": "0", "BATCHING_COMPRESSION": "zip", "BATCHING_URL": "http://me:s3cret@h"}
    code, log = await scrapy(tmp_path, "runspider", "spider.py", ADDONS=ADDONS, **wrong)
    assert code == 1
    assert "BATCHING_BATCH_ITEMS = '0': write 1 or more (items)" in log
    assert "BATCHING_COMPRESSION = 'zip': write auto, zstd, gzip or off" in log
    assert "BATCHING_URL = http://(not shown)@h" in log
    assert "s3cret" not in log


async def test_the_message_about_a_setting_is_the_last_that_is_said(tmp_path):
    """Scrapy prints its traceback before it; the docs say so."""
    (tmp_path / "spider.py").write_text("import scrapy\n" + NUMBERS)
    code, log = await scrapy(
        tmp_path, "runspider", "spider.py", ADDONS=ADDONS, BATCHING_SPOOL_DIR=tmp_path / "spider.py" / "x"
    )
    assert code == 1
    traceback, _, said = log.partition("SettingsRefused: ")
    assert "Traceback (most recent call last)" in traceback
    assert len(said.strip().splitlines()) == 2
    assert "spider.py/x: cannot be made or written there (" in said
