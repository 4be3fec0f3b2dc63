"""The monitors of docs/stats.md, run by Spidermon itself in real crawls."""

import re
from pathlib import Path
from typing import Any

import pytest

from scrapy_batching.telemetry import Telemetry
from scrapy_batching.telemetry.counts import FATES
from tests.scrapy_batching.crawls import Crawl, crawled
from tests.scrapy_batching.fake_server import FakeServer, says

PAGE = Path(__file__).parents[3] / "docs" / "stats.md"


def documented(title: str) -> str:
    """The code that docs/stats.md shows below a heading."""
    section = PAGE.read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))


MONITORED = """
%s
SETTINGS |= {name: value for name, value in globals().items() if name.startswith("SPIDERMON_") or name == "EXTENSIONS"}

class Numbers(scrapy.Spider):
    name = "numbers"
    async def start(self):
        for n in range(self.settings.getint("HOW_MANY", 7)):
            yield {"n": n}

SPIDERS = [Numbers]
"""


async def monitored(server: FakeServer, directory: Path, **settings: Any) -> Crawl:
    return await crawled(directory, MONITORED % documented("Spidermon"), BATCHING_URL=server.url, **settings)


def verdicts(crawl: Crawl) -> dict[str, str]:
    return dict(re.findall(r"\[Spidermon\] ([^]\n]+/[^]\n]+)\.\.\. (\w+)", crawl.log))


async def test_the_documented_monitors_pass_where_everything_arrived(server, tmp_path):
    crawl = await monitored(server, tmp_path)
    assert verdicts(crawl) == {
        "batching/every item arrived": "OK",
        "batching/none was refused": "OK",
        "batching/the server is quick": "OK",
        "server/has every item": "OK",
        "server/buried none": "OK",
    }, crawl.log


async def test_a_crawl_without_items_has_its_zeros_when_the_spider_closes(server, tmp_path):
    crawl = await monitored(server, tmp_path, HOW_MANY=0)
    assert {verdict for name, verdict in verdicts(crawl).items() if name.startswith("batching/")} == {"OK"}


async def test_a_monitor_fails_where_items_were_refused(server, tmp_path):
    server.tricks.append(says(422, "no"))
    crawl = await monitored(server, tmp_path)
    assert verdicts(crawl)["batching/none was refused"] == "FAIL"
    assert verdicts(crawl)["server/has every item"] == "OK"


async def test_a_monitor_fails_where_the_server_misses_items(server, tmp_path):
    async def loses(_server: FakeServer, *_: Any) -> None:
        server.batches.popitem()

    async def no_more(*_: Any) -> Any:
        return await says(403, "no more")(*_)

    server.on_close.extend([loses, no_more])
    crawl = await monitored(server, tmp_path, BATCHING_BATCH_ITEMS=5)
    assert verdicts(crawl)["server/has every item"] == "FAIL"
    assert verdicts(crawl)["batching/every item arrived"] == "OK"


@pytest.mark.parametrize("name", ["enqueued", *FATES])
def test_what_a_monitor_reads_is_there_from_the_first_time_on_and_a_number(name):
    kept: dict[str, Any] = {}

    class Kept:
        def set_value(self, key: str, value: Any) -> None:
            kept[key] = value

    Telemetry(Kept()).publish()
    assert kept[f"batching/items/{name}"] == 0
    assert {type(value) for value in kept.values()} <= {int, float, str}
    assert all(re.fullmatch(r"[a-z_]+(/[a-z0-9_]+)+", key) for key in kept)
