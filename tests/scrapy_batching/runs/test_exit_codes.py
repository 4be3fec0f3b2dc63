"""A crawl that cannot deliver does not start, says why, and ends with exit code 1: however it was started."""

import json
import select

import pytest

from tests.scrapy_batching.crawls import NUMBERS, crawling
from tests.scrapy_batching.runs.shop import PROCESSES, program, project, scrapy, tree

OURS = {"scrapy_batching.Addon": 500}


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize(
    "command", [["crawl", "numbers"], ["runspider", "shop/spiders/figures.py"]], ids=lambda c: c[0]
)
async def test_a_wrong_setting_ends_the_command_with_exit_code_1(tmp_path, command, process):
    ours = project(tmp_path, ADDONS=OURS, **process)
    code, log = await scrapy(ours, *command, BATCHING_BATCH_ITEMS=0)
    assert code == 1, log
    assert "BATCHING_BATCH_ITEMS = '0': write 1 or more (items)" in log
    assert tree(ours / "home") == []


SCRIPT = """
import json, sys
import scrapy
from scrapy.crawler import {process}

class Numbers(scrapy.Spider):
    name = "numbers"
    async def start(self):
        yield {{"n": 1}}

class Wrong(Numbers):
    name = "wrong"
    custom_settings = {{"BATCHING_BATCH_ITEMS": 0}}

process = {process}(json.loads(sys.argv[1]))
for cls in ({spiders}):
    process.crawl(cls)
process.start()
sys.exit(process.bootstrap_failed)
"""


async def script(directory, process, spiders, **settings):
    source = SCRIPT.format(process=process, spiders=spiders)
    given = {"ADDONS": OURS, "REMOTE_CONTROL_ENABLED": False, "TELNETCONSOLE_ENABLED": False, **settings}
    return await program(directory, "-c", source, json.dumps(given))


@pytest.mark.parametrize("process", ["AsyncCrawlerProcess", "CrawlerProcess"])
async def test_a_script_asks_its_process(server, tmp_path, process):
    """One of two crawls does not start: the other delivers, and the process knows that one is missing."""
    code, log = await script(tmp_path, process, "Numbers, Wrong", BATCHING_URL=server.url)
    assert code == 1, log
    assert "BATCHING_BATCH_ITEMS = 0: write 1 or more (items)" in log
    assert [item["n"] for item in server.items] == [1], log
    code, log = await script(tmp_path, process, "Numbers,", BATCHING_URL=server.url)
    assert code == 0, log


RUNNERS = {
    "CrawlerRunner": "react(lambda _: CrawlerRunner(SETTINGS).crawl(Numbers))",
    "AsyncCrawlerRunner": """react(
    lambda _: Deferred.fromFuture(asyncio.ensure_future(AsyncCrawlerRunner(SETTINGS).crawl(Numbers)))
)""",
}
INSTALLED = """
from scrapy.crawler import AsyncCrawlerRunner, CrawlerRunner
from scrapy.utils.reactor import install_reactor
install_reactor("twisted.internet.asyncioreactor.AsyncioSelectorReactor")
from twisted.internet.defer import Deferred
from twisted.internet.task import react
"""


@pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)
async def test_a_runner_raises_it(tmp_path, run):
    async with crawling(tmp_path, NUMBERS, mode=INSTALLED + run, BATCHING_BATCH_ITEMS=0) as crawl:
        assert await crawl.end() == 1
    assert "scrapy_batching.errors.SettingsRefused" in crawl.log


REACTORS = {
    "None": None,
    "select": "twisted.internet.selectreactor.SelectReactor",
    **({"poll": "twisted.internet.pollreactor.PollReactor"} if hasattr(select, "poll") else {}),
    **({"epoll": "twisted.internet.epollreactor.EPollReactor"} if hasattr(select, "epoll") else {}),
}
REMEDY = 'set TWISTED_REACTOR = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"'


@pytest.mark.parametrize("reactor", REACTORS.values(), ids=REACTORS)
async def test_a_reactor_without_asyncio_is_refused_with_the_remedy(tmp_path, reactor):
    ours = project(tmp_path, ADDONS=OURS, TWISTED_REACTOR=reactor)
    code, log = await scrapy(ours, "crawl", "numbers")
    assert code == 1, log
    assert REMEDY in log


@pytest.mark.parametrize("reactor", REACTORS.values(), ids=REACTORS)
async def test_a_script_s_reactor_without_asyncio_is_refused_with_the_remedy(tmp_path, reactor):
    code, log = await script(tmp_path, "CrawlerProcess", "Numbers,", TWISTED_REACTOR=reactor)
    assert code == 1, log
    assert REMEDY in log
