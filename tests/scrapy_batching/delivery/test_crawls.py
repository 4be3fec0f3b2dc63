"""Real crawls: what BATCHING_ON_FAILURE does to one, what TLS needs, and that no secret is left behind anywhere."""

import asyncio
import json
import os
import sys
from typing import Any, ClassVar

import pytest

from tests.scrapy_batching.crawls import balanced, crawled, crawling, those
from tests.scrapy_batching.fake_server import FakeServer, problem, says, serving
from tests.scrapy_batching.wire.certificates import Certificates

ENDLESS = """
class Endless(scrapy.Spider):
    name = "endless"

    async def start(self):
        yield scrapy.Request("data:,0")

    def parse(self, response):
        page = int(response.text)
        yield {"n": page}
        if page < 50_000:
            yield scrapy.Request(f"data:,{page + 1}")

SPIDERS = [Endless]
"""
STOPS = {"BATCHING_ON_FAILURE": "stop", "BATCHING_BATCH_ITEMS": 20, "BATCHING_CLOSE_TIMEOUT": 0.2, "LOG_LEVEL": "INFO"}


@pytest.mark.parametrize("mode", those("AsyncCrawlerProcess", "CrawlerProcess", "reactorless"))
async def test_past_the_deadline_the_crawl_is_stopped_properly_with_its_own_reason(server, tmp_path, mode):
    """Closing from where a batch is sent would wait for itself; fifty thousand pages, one after the other, are minutes."""
    server.always = says(503, "full")
    crawl = await crawled(tmp_path, ENDLESS, mode=mode, BATCHING_URL=server.url, BATCHING_DEADLINE=0.3, **STOPS)
    assert crawl.stats[0]["finish_reason"] == "batching_delivery_failed"
    stats = crawl.batching()
    assert balanced(stats)
    assert stats["items/spooled"] == stats["items/enqueued"] == len(crawl.waiting())
    assert crawl.log.count("the crawl is stopped (batching_delivery_failed)") == 1
    assert crawl.log.count("Closing spider (batching_delivery_failed)") == 1


async def test_a_crawl_whose_token_is_wrong_is_stopped_with_its_first_batch(server, tmp_path):
    server.always = says(401, "no such token")
    crawl = await crawled(tmp_path, ENDLESS, BATCHING_URL=server.url, **STOPS)
    assert crawl.stats[0]["finish_reason"] == "batching_delivery_failed"
    assert crawl.batching()["items/enqueued"] < 2_000
    assert "401 no such token" in crawl.log
    assert crawl.batching()["items/spooled"] == len(crawl.waiting())


async def test_drop_lets_the_crawl_go_on_and_leaves_nothing(server, tmp_path):
    server.always = says(503, "full")
    settings = {"BATCHING_ON_FAILURE": "drop", "BATCHING_DEADLINE": 0.1, "BATCHING_CLOSE_TIMEOUT": 20}
    crawl = await crawled(tmp_path, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=2, **settings)
    stats = crawl.batching()
    assert (stats["items/enqueued"], stats["items/dropped"]) == (7, 7)
    assert crawl.stats[0]["finish_reason"] == "finished"
    assert crawl.runs == []
    assert "batching DROPS batches" in crawl.log


async def test_a_server_that_flaps_does_not_flood_the_log(server, tmp_path):
    """Away for two batches, there for one, all the time."""

    async def flaps(fake, *seen):
        return await says(503)(fake, *seen) if len(fake.sent) % 3 else None

    server.always = flaps
    settings = {"BATCHING_BATCH_ITEMS": 1, "BATCHING_RETRY_BASE": 0.001, "BATCHING_RETRY_MAX": 0.001, "HOW_MANY": 60}
    crawl = await crawled(tmp_path, BATCHING_URL=server.url, LOG_LEVEL="INFO", **settings)
    assert crawl.batching()["items/delivered"] == 60
    assert crawl.batching()["outages"] > 20
    assert crawl.log.count("the server takes nothing") == 3
    assert crawl.log.count("takes batches again") == 3


class Secrets:
    token = "s3cret-of-the-token"
    header = "k3y-of-the-gateway"
    settings: ClassVar[dict[str, Any]] = {"BATCHING_TOKEN": token, "BATCHING_HEADERS": {"X-Api-Key": header}}

    def none_in(self, text):
        for one in (self.token, self.header, "BEGIN PRIVATE KEY", "BEGIN RSA"):
            assert one not in text


async def test_over_tls_with_a_certificate_and_headers_and_no_secret_is_left_anywhere(tmp_path):
    files, secrets = Certificates(tmp_path), Secrets()
    tls = {"BATCHING_TLS_CA": str(files.ca), "BATCHING_TLS_CERT": str(files.both)}
    (tmp_path / "crawl").mkdir()

    async def unwell(fake, request, body):
        assert request.headers["Authorization"] == f"Bearer {secrets.token}"
        assert request.headers["X-Api-Key"] == secrets.header
        # A gateway that tells everything it was told, and is right about nothing.
        told = " ".join(f"{name}: {value}" for name, value in request.headers.items())
        answers = {
            1: problem(503, told, told),
            2: problem(422, told, told),
            3: problem(404, told, told),
            5: problem(415, told),
        }
        return answers.get(len(fake.sent))

    async with serving(FakeServer(), tls=files.server_side(wants_certificate=True)) as server:
        server.always = unwell
        settings = {"BATCHING_URL": server.url, "BATCHING_BATCH_ITEMS": 1, "BATCHING_COMPRESSION": "gzip"}
        crawl = await crawled(tmp_path / "crawl", LOG_LEVEL="DEBUG", **settings, **tls, **secrets.settings)
        stats = crawl.batching()
        assert (stats["items/rejected"], stats["items/spooled"], stats["items/delivered"]) == (1, 1, 5)
        secrets.none_in(crawl.log)
        secrets.none_in(json.dumps(crawl.stats))
        left = [one for one in (tmp_path / "crawl" / "spool").rglob("*") if one.is_file()]
        assert any("refused" in one.parts and one.suffix == ".json" for one in left)
        for one in left:
            secrets.none_in(one.read_text())
        assert "scrapy batches send --refused" in crawl.log
        # And what a crawl left goes the same way.
        given = {**settings, **tls, **secrets.settings, "BATCHING_SPOOL_DIR": str(tmp_path / "crawl" / "spool")}
        words = [word for name, value in given.items() for word in ("-s", f"{name}={as_text(value)}")]
        sending = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scrapy", "batches", "send", "--refused", "-L", "DEBUG", *words),
            cwd=tmp_path,
            env=os.environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await sending.communicate())[0].decode()
        assert sending.returncode == 0, said
        secrets.none_in(said)
    assert sorted(item["n"] for item in server.items) == list(range(7))


def as_text(value):
    return json.dumps(value) if isinstance(value, dict) else value


async def test_the_wrong_authority_is_told_once_with_its_remedy(tmp_path):
    files = Certificates(tmp_path)
    async with serving(FakeServer(), tls=files.server_side()) as server:
        settings = {"BATCHING_TLS_CA": str(files.other_ca), "BATCHING_CLOSE_TIMEOUT": 0.3}
        crawl = await crawled(tmp_path, BATCHING_URL=server.url, **settings)
    assert crawl.log.count("BATCHING_TLS_CA") == 2, "one line, which names it twice"
    assert crawl.log.count("the server takes nothing") == 1
    assert crawl.batching()["items/spooled"] == 7


async def test_a_crawl_with_a_key_that_is_not_the_certificate_s_does_not_start(tmp_path):
    files = Certificates(tmp_path)
    settings = {"BATCHING_TLS_CERT": str(files.cert), "BATCHING_TLS_KEY": str(files.other_key)}
    async with crawling(tmp_path, BATCHING_URL="https://127.0.0.1:1", **settings) as crawl:
        await crawl.end()
    assert "BATCHING_TLS_KEY" in crawl.log
    assert "this key is not the certificate's" in crawl.log
    assert crawl.runs == []
