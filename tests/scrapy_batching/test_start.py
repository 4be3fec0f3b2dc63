"""What happens before the first item: nothing; and what a crawl that cannot deliver says."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from scrapy.exceptions import NotConfigured
from scrapy.settings import Settings

import scrapy_batching
from scrapy_batching import Addon, BatchingGate, BatchingPipeline
from tests.scrapy_batching.crawls import NUMBERS, crawled

ADDONS = ["-s", f"ADDONS={json.dumps({'scrapy_batching.Addon': 500})}"]
QUIET = ["-s", "REMOTE_CONTROL_ENABLED=False", "-s", "TELNETCONSOLE_ENABLED=False"]


async def scrapy(directory, *args, **settings):
    """Scrapy's command line: its exit code and everything it said."""
    given = [part for name, value in settings.items() for part in ("-s", f"{name}={value}")]
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scrapy", *args, *ADDONS, *QUIET, *given),
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await run.communicate()
    return run.returncode, out.decode()


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
    code, log = await scrapy(tmp_path, "runspider", "spider.py", **wrong)
    assert code == 1
    assert "BATCHING_BATCH_ITEMS = '0': write 1 or more (items)" in log
    assert "BATCHING_COMPRESSION = 'zip': write auto, zstd, gzip or off" in log
    assert "BATCHING_URL = http://(not shown)@h" in log
    assert "s3cret" not in log


async def test_the_message_about_a_setting_is_the_last_that_is_said(tmp_path):
    """Scrapy prints its traceback before it; the docs say so."""
    (tmp_path / "spider.py").write_text("import scrapy\n" + NUMBERS)
    code, log = await scrapy(tmp_path, "runspider", "spider.py", BATCHING_SPOOL_DIR=tmp_path / "spider.py" / "x")
    assert code == 1
    traceback, _, said = log.partition("SettingsRefused: ")
    assert "Traceback (most recent call last)" in traceback
    assert len(said.strip().splitlines()) == 2
    assert "spider.py/x: cannot be made or written there (" in said


async def test_a_reactor_without_asyncio_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "spider.py").write_text("import scrapy\n" + NUMBERS)
    select = {"TWISTED_REACTOR": "twisted.internet.selectreactor.SelectReactor", "FORCE_CRAWLER_PROCESS": "1"}
    code, log = await scrapy(tmp_path, "runspider", "spider.py", **select)
    assert code == 1
    assert "set TWISTED_REACTOR = " in log


@pytest.mark.parametrize(
    "command",
    [
        ["shell", "PAGE", "-c", "response.body"],
        ["fetch", "PAGE"],
        ["parse", "PAGE", "--spider", "numbers", "--callback", "nothing"],
        ["check"],
        ["list"],
    ],
    ids=lambda command: command[0],
)
async def test_a_command_without_items_leaves_no_trace(server, tmp_path, command):
    """No connection, no task that hangs, no directory."""
    project = tmp_path / "shop"
    (project / "spiders").mkdir(parents=True)
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = shop.settings\n")
    (project / "__init__.py").touch()
    (project / "spiders" / "__init__.py").touch()
    (project / "settings.py").write_text('SPIDER_MODULES = ["shop.spiders"]\n')
    spider = NUMBERS + "    def nothing(self, response):\n        return []\n"
    (project / "spiders" / "one.py").write_text("import scrapy\n" + spider.replace("SPIDERS = [Numbers]\n", ""))
    page = tmp_path / "page.html"
    page.write_text("<p>a page</p>")
    command = [page.as_uri() if part == "PAGE" else part for part in command]
    spool = tmp_path / "spool"
    code, log = await scrapy(tmp_path, *command, BATCHING_URL=server.url, BATCHING_SPOOL_DIR=spool)
    assert code == 0, log
    assert server.sent == server.closes == server.asked == []
    assert not spool.exists()
    assert "batching: crawl" not in log
