"""The client against the contract, over a real socket: what it sends, and what each answer means to it."""

from dataclasses import replace

import pytest
from aiohttp import web

from scrapy_batching.batching.batch import Part
from scrapy_batching.wire.answers import Delivered, ForLater, Refused, TooLarge
from tests.scrapy_batching.fake_server import acknowledges, forgets, problem, says, shows
from tests.scrapy_batching.make import batch
from tests.scrapy_batching.wire.client_bench import Bench


@pytest.fixture
async def bench(server):
    made = Bench(server.url)
    yield made
    await made.client.close()


async def test_a_batch_goes_out_as_the_contract_says(server, bench):
    one = batch(table='späße."x"/y')
    assert await bench.client.deliver(one) == Delivered(3, 0)
    (stored,) = server.batches.values()
    assert (stored.id, stored.table) == (str(one.id), one.table)
    assert stored.items == [{"n": 0}, {"n": 1}, {"n": 2}]
    (headers,) = server.headers
    assert headers["Content-Type"] == "application/x-ndjson"
    assert headers["Idempotency-Key"] == str(one.id)
    assert headers["Ingest-Crawl"] == "a crawl/1"
    assert "Prefer" not in headers, "an answer that says `journaled` is enough: a sender need not wait for PostgreSQL"
    assert "Content-Encoding" not in headers
    assert "Authorization" not in headers
    assert bench.pauses == []
    assert bench.notes.bodies == [one.size]


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_body_may_be_compressed(server, coding):
    bench = Bench(server.url, compression=coding, token="t0ken")
    one = batch(500)
    assert await bench.client.deliver(one) == Delivered(500, 0)
    await bench.client.close()
    (headers,) = server.headers
    assert headers["Content-Encoding"] == coding
    assert headers["Authorization"] == "Bearer t0ken"
    assert bench.notes.bodies[0] < one.size / 3


async def test_journaled_is_delivered(server, bench):
    server.tricks.append(acknowledges("journaled", 202))
    assert await bench.client.deliver(batch()) == Delivered(3, 0)
    assert server.asked == []


async def test_dead_letters_are_delivered(server, bench):
    server.tricks.append(acknowledges("committed", 207, failed=2, succeeded=1))
    assert await bench.client.deliver(batch()) == Delivered(3, 2)


async def test_memory_is_followed_until_it_is_settled(server, bench):
    server.tricks.append(acknowledges("memory", 202))
    one = batch()

    async def still(fake, request, _body):
        return web.json_response({"id": request.match_info["id"], "ack": "memory", "total": 3, "failed": 0})

    server.on_ask.extend([still, says(503, Retry_After="4"), shows(200, "<html>")])
    assert await bench.client.deliver(one) == Delivered(3, 0)
    assert server.sent == [str(one.id)]
    assert server.asked == [str(one.id)] * 4
    assert bench.pauses == [0.5, 0.5, 4, 1.0]


@pytest.mark.parametrize("status", [404, 410, 401, 403])
async def test_a_batch_that_the_server_forgot_is_sent_again_under_its_name(server, bench, status):
    server.tricks.append(forgets())
    server.on_ask.append(says(status))
    one = batch()
    assert await bench.client.deliver(one) == Delivered(3, 0)
    assert server.sent == [str(one.id)] * 2
    assert len(server.items) == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, ForLater), (403, ForLater), (404, ForLater), (413, TooLarge), (422, Refused), (500, Refused)],
)
async def test_a_final_answer_ends_it_with_the_problem(server, bench, status, kind):
    server.tricks.append(says(status, "No", "because"))
    verdict = await bench.client.deliver(batch())
    assert isinstance(verdict, kind)
    assert verdict.problem.status == status
    assert len(server.sent) == 1


async def test_a_redirect_is_not_followed(server, bench):
    async def away(*_):
        return problem(301, "moved", Location=server.url + "/elsewhere")

    server.tricks.append(away)
    assert isinstance(await bench.client.deliver(batch()), Refused)


async def test_closing_the_crawl_gives_what_the_server_counted(server, bench):
    await bench.client.deliver(batch())
    server.on_close.append(says(503, Retry_After="2"))
    totals = {"items": 4, "rejected": 1, "dropped": 0, "spooled": 0, "reason": "finished"}
    said = await bench.client.close_crawl(totals, give_up_at=100)
    assert said is not None
    assert (said["expected"], said["missing"]) == (3, 0)
    assert server.closes[0] == {"crawl": "a crawl/1"} | totals
    assert bench.pauses == [2]


async def test_closing_the_crawl_gives_up_in_time_and_at_once_where_it_is_refused(server, bench):
    server.on_close.extend([says(503)] * 3)
    assert await bench.client.close_crawl({"items": 0}, give_up_at=1.2) is None
    assert bench.pauses == [0.5]
    server.on_close.clear()
    server.on_close.append(says(403))
    assert await bench.client.close_crawl({"items": 0}, give_up_at=100) is None
    assert len(server.closes) == 3


@pytest.mark.parametrize("status", [200, 301, 404, 405, 410, 422, 500])
async def test_closing_the_crawl_outlasts_a_page(server, bench, status):
    server.on_close.extend([shows(status, "<html>")] * 2)
    totals = {"items": 0, "rejected": 0, "dropped": 0, "spooled": 0}
    assert (await bench.client.close_crawl(totals, give_up_at=100))["missing"] == 0
    assert len(server.closes) == 3


async def test_closing_twice_and_sending_after_that_is_allowed(server, bench):
    await bench.client.deliver(batch())
    await bench.client.close()
    await bench.client.close()
    assert await bench.client.deliver(batch()) == Delivered(3, 0)


@pytest.mark.parametrize(("seconds", "wanted"), [(5.0, "wait=2"), (61.0, "wait=30"), (1.0, "wait=0")])
async def test_the_preferred_wait_is_in_whole_seconds(server, seconds, wanted):
    """A fraction is no preference of the contract's: it would be ignored, and the batch would be asked for in a hurry."""
    server.tricks.append(acknowledges("memory", 202))
    asked = []

    async def note(_server, request, _body):
        asked.append(request.headers["Prefer"])

    server.on_ask.append(note)
    bench = Bench(server.url, timeout=seconds)
    await bench.client.deliver(batch())
    await bench.client.close()
    assert asked == [wanted]


async def test_a_413_for_what_may_be_stored_already_is_asked_about_first(server, bench):
    """The halves of a split have names that the ledger does not know: what was stored would be stored once more."""
    one = batch(4)
    server.tricks.append(acknowledges("committed", 200))
    await bench.client.deliver(one)
    server.tricks.append(says(413))
    assert await bench.client.deliver(one, was_tried=True) == Delivered(4, 0)
    assert server.asked == [str(one.id)]
    server.tricks.append(says(413))
    assert isinstance(await bench.client.deliver(batch(4), was_tried=True), TooLarge), "nobody knows that one"


async def test_a_batch_whose_file_is_gone_is_an_error_and_no_network_trouble(bench, tmp_path):
    gone = replace(batch(), lines=(), part=Part(tmp_path / "gone", 0, 3))
    with pytest.raises(FileNotFoundError):
        await bench.client.deliver(gone)
