"""Pages of a proxy, an ingress or another service in the server's place: everything waits, and nothing is buried."""

import pytest

from scrapy_batching.wire.answers import Delivered
from tests.scrapy_batching.crawls import balanced, crawled
from tests.scrapy_batching.fake_server import drops, says, shows
from tests.scrapy_batching.make import batch
from tests.scrapy_batching.wire.client_bench import Bench

PAGE = "<html>a proxy's</html>"


@pytest.mark.parametrize("status", [200, 301, 404, 405, 410, 500])
async def test_pages_for_a_moment_cost_a_crawl_nothing(server, tmp_path, status):
    server.tricks.extend([shows(status, PAGE)] * 3)
    server.on_close.extend([shows(status, PAGE)] * 2)
    crawl = await crawled(tmp_path, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=2, LOG_LEVEL="INFO")
    stats = crawl.batching()
    assert (stats["items/delivered"], stats["batches/refused"], stats["batches/spooled"]) == (7, 0, 0)
    assert sorted(item["n"] for item in server.items) == list(range(7))
    assert stats["outages"] >= 1
    assert crawl.log.count("the server takes nothing") == 1
    assert f"answer {status}, not from an ingestion server, check BATCHING_URL; it began" in crawl.log
    assert "server: 7 committed" in crawl.log, "the close was told once the page had gone"
    assert crawl.runs == []


@pytest.mark.parametrize("status", [400, 422])
async def test_a_firewall_that_dislikes_one_body_holds_up_no_other(server, tmp_path, status):
    disliked = []

    async def firewall(fake, request, body):
        if b'"n":3' in body and len(disliked) < 3:
            disliked.append(len(fake.items))
            return await shows(status, PAGE)(fake, request, body)
        return None

    server.always = firewall
    settings = {"BATCHING_BATCH_ITEMS": 1, "BATCHING_COMPRESSION": "off", "LOG_LEVEL": "INFO"}
    crawl = await crawled(tmp_path, BATCHING_URL=server.url, **settings)
    stats = crawl.batching()
    assert (stats["items/delivered"], stats["outages"], stats["batches/refused"]) == (7, 0, 0)
    assert len(disliked) == 3
    assert crawl.log.count("a batch for numbers does not get through") == 1


@pytest.mark.parametrize("then", ["spool", "stop", "drop"])
async def test_pages_that_do_not_end_are_an_outage_to_the_deadline(server, tmp_path, then):
    server.always = shows(404, PAGE)
    settings = {"BATCHING_DEADLINE": 0.2, "BATCHING_ON_FAILURE": then, "BATCHING_CLOSE_TIMEOUT": 30}
    crawl = await crawled(tmp_path, BATCHING_URL=server.url, **settings)
    stats = crawl.batching()
    where = "dropped" if then == "drop" else "spooled"
    assert (stats[f"items/{where}"], stats["items/rejected"]) == (7, 0)
    assert balanced(stats)
    assert "BATCHING_DEADLINE" in crawl.log


@pytest.mark.parametrize("status", [200, 302, 404, 422])
async def test_a_page_that_repeats_a_secret_is_not_shown_with_it(server, tmp_path, status):
    async def tells(fake, request, body):
        page = shows(status, f"you sent {request.headers['Authorization']}")
        return await page(fake, request, body) if len(fake.sent) < 3 else None

    server.always = tells
    crawl = await crawled(tmp_path, BATCHING_URL=server.url, BATCHING_TOKEN="s3cret-of-the-token")
    assert "it began 'you sent Bearer (not shown)'" in crawl.log
    assert "s3cret" not in crawl.log
    assert crawl.batching()["items/delivered"] == 7


async def test_a_page_about_a_batch_says_nothing_about_it(server):
    """What may have been stored is not split because a proxy answers 404 when it is asked about."""
    bench = Bench(server.url)
    server.tricks += [drops(after_storing=True), says(413, "too large")]
    server.on_ask.extend([shows(404, PAGE), shows(410, PAGE)])
    assert await bench.client.deliver(batch(4)) == Delivered(4, 0)
    await bench.client.close()
    assert len(server.asked) == 3
    assert len(server.batches) == 1
