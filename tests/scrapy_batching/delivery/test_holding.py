"""Who holds a batch: until the server has it or the disk has it, and nobody lets go before."""

import asyncio
import json
import logging

import pytest

from scrapy_batching.wire.answers import Delivered
from tests.scrapy_batching.delivery.bench import Bench
from tests.scrapy_batching.fake_server import Holding, drops, says, takes_at_most
from tests.scrapy_batching.make import batch


@pytest.fixture
async def bench(server, tmp_path):
    made = Bench(server.url, tmp_path)
    yield made
    await made.end()


async def test_delivered_batches_are_released_once(server, bench):
    batches = [batch() for _ in range(10)]
    for one in batches:
        bench.delivery.put(one)
    await bench.delivery.finish(30)
    assert bench.delivery.items == 0
    assert sorted(bench.released) == sorted((len(one), one.size) for one in batches)
    assert set(server.batches) == {str(one.id) for one in batches}
    assert bench.counts()["items/delivered"] == 30


async def test_no_more_than_may_be_are_on_their_way(server, bench):
    for _ in range(3):
        bench.delivery.put(batch())
    await bench.delivery.finish(30)
    holding = Holding()
    server.always = holding
    for _ in range(5):
        bench.delivery.put(batch())
    await holding.reached.wait()
    while len(server.sent) < 3 + 2:
        server.arrived.clear()
        await server.arrived.wait()
    assert len([task for task in asyncio.all_tasks() if task.get_name().startswith("scrapy_batching sender")]) == 2
    assert len(server.sent) == 3 + 2
    holding.go.set()
    await bench.delivery.finish(30)
    assert len(server.items) == 8 * 3
    assert (bench.counts()["concurrency/now"], bench.counts()["concurrency/max"]) == (2, 2)


async def test_a_batch_that_is_too_large_is_halved_until_it_fits(server, bench):
    server.always = takes_at_most(3)
    one = batch(10)
    bench.delivery.put(one)
    await bench.delivery.finish(30)
    assert sorted(item["n"] for item in server.items) == list(range(10))
    assert max(len(stored.items) for stored in server.batches.values()) <= 3
    assert sum(items for items, _ in bench.released) == 10
    assert sum(size for _, size in bench.released) == one.size
    counts = bench.counts()
    assert counts["items/delivered"] == 10
    assert counts["batches/split"] == 3


async def test_the_halves_have_the_same_names_when_it_is_split_again(server, bench):
    server.always = takes_at_most(5)
    one = batch(10)
    bench.delivery.put(one)
    await bench.delivery.finish(30)
    first = set(server.batches)
    bench.delivery.put(one)
    await bench.delivery.finish(30)
    assert set(server.batches) == first


async def test_a_single_item_that_is_too_large_is_refused_alone(server, bench):
    async def no_sevens(_server, _request, body):
        return await says(413, "too large")(_server, _request, body) if b'"n":7' in body else None

    server.always = no_sevens
    bench.delivery.put(batch(10))
    await bench.delivery.finish(30)
    assert bench.lines("refused") == [7]
    assert len(server.items) == 9
    counts = bench.counts()
    assert (counts["items/delivered"], counts["items/rejected"]) == (9, 1)


@pytest.mark.parametrize(
    ("status", "kind", "counted"),
    [
        (401, "waiting", "spooled"),
        (404, "waiting", "spooled"),
        (422, "refused", "rejected"),
        (500, "refused", "rejected"),
    ],
)
async def test_what_is_not_taken_is_kept_with_the_problem(server, bench, caplog, status, kind, counted):
    server.tricks.extend([says(status, "No", "because")] * 3)
    with caplog.at_level(logging.DEBUG, "scrapy_batching"):
        for _ in range(3):
            bench.delivery.put(batch())
        await bench.delivery.finish(30)
    assert bench.lines(kind) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert bench.counts()[f"items/{counted}"] == 9
    assert bench.delivery.items == 0
    errors = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert len(errors) == 1, "one line for a reason, however many batches it meets"
    if kind == "refused":
        about = json.loads(next((bench.directory / kind).rglob("*.json")).read_text())
        assert about["problem"] == {"status": status, "title": "No", "detail": "because"}
        assert "when it is mended: scrapy batches send --refused" in errors[0].getMessage()


async def test_the_deadline_moves_the_rest_to_the_spool_and_nothing_is_sent_after_it(server, bench):
    holding = Holding()
    server.always = holding
    for _ in range(5):
        bench.delivery.put(batch())
    await holding.reached.wait()
    await bench.delivery.finish(0.01)
    assert len(bench.lines("waiting")) == 15
    assert bench.delivery.items == 0
    senders = [one for one in asyncio.all_tasks() if one.get_name().startswith("scrapy_batching sender")]
    assert not senders, "a sender that goes on would deliver what is in the spool"
    holding.go.set()
    assert bench.counts()["items/spooled"] == 15
    assert bench.counts()["items/delivered"] == 0


async def test_halves_are_in_the_spool_without_the_whole(server, bench):
    """Sending the whole later would store the half that was delivered a second time."""
    holding = Holding()
    server.tricks.extend([takes_at_most(2)])
    asked = []

    async def second_half_hangs(fake, request, body):
        asked.append(body)
        if b'"n":3' in body:
            await holding(fake, request, body)

    server.always = second_half_hangs
    bench.delivery.put(batch(4))
    await holding.reached.wait()
    while not server.items:
        server.arrived.clear()
        await server.arrived.wait()
        await asyncio.sleep(0)
    await bench.delivery.finish(0.05)
    assert bench.lines("waiting") == [2, 3]
    assert sorted(item["n"] for item in server.items) == [0, 1]
    holding.go.set()


async def test_a_defect_in_the_client_keeps_the_batch(bench, monkeypatch, caplog):
    async def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(bench.client, "attempt", broken)
    bench.delivery.put(batch())
    await bench.delivery.finish(30)
    assert bench.lines("waiting") == [0, 1, 2]
    assert "please report this" in caplog.text
    assert bench.counts()["items/spooled"] == 3


async def test_a_disk_that_takes_nothing_is_asked_again_and_at_the_end_a_loud_loss(server, bench, caplog):
    bench.directory.joinpath("refused").write_text("in the way")
    server.tricks.extend([says(422)] * 2)
    bench.delivery.put(batch())
    while len(server.sent) < 3:
        server.arrived.clear()
        await server.arrived.wait()
    await bench.delivery.finish(30)
    assert bench.counts()["items/delivered"] == 3, "nothing is lost while the crawl lives, and the third try was taken"
    assert "Not a directory" in caplog.text


async def test_what_neither_server_nor_disk_took_by_the_end_is_a_loud_loss(server, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    bench = Bench(server.url, tmp_path / "file")
    server.always = says(404)
    bench.delivery.put(batch())
    await bench.delivery.finish(0.05)
    await bench.end()
    assert bench.counts()["items/dropped"] == 3
    assert "LOSES 3 items for books" in caplog.text
    assert bench.delivery.items == 0


async def test_senders_that_were_cancelled_are_replaced(server, bench):
    bench.delivery.put(batch())
    await bench.delivery.finish(30)
    await bench.delivery.stop()
    bench.delivery.put(batch())
    await bench.delivery.finish(30)
    assert len(server.items) == 6


async def test_a_batch_that_the_server_counted_otherwise_is_kept_with_the_problem(bench, monkeypatch, caplog):
    async def half(*_):
        return Delivered(total=1, failed=0)

    monkeypatch.setattr(bench.client, "attempt", half)
    bench.delivery.put(batch())
    await bench.delivery.finish(30)
    assert "the server counted 1 of 3 items" in caplog.text
    assert len(bench.lines("refused")) == 3
    assert (bench.counts()["items/delivered"], bench.counts()["items/rejected"]) == (0, 3)


async def test_a_413_after_a_lost_answer_splits_nothing_that_was_stored(server, bench):
    """The halves would have names that nobody knows, and be stored once more."""
    server.tricks += [drops(after_storing=True), says(413)]
    bench.delivery.put(batch(4))
    await bench.delivery.finish(30)
    assert len(server.items) == 4
    assert len(server.batches) == 1
    assert bench.counts()["items/delivered"] == 4


async def test_a_413_after_a_lost_request_splits(server, bench):
    server.tricks += [drops(), says(413)]
    bench.delivery.put(batch(4))
    await bench.delivery.finish(30)
    assert len(server.items) == 4
    assert len(server.batches) == 2


async def test_a_closing_crawl_says_how_it_gets_on(server, tmp_path, caplog):
    now = [0.0]
    bench = Bench(server.url, tmp_path, clock=lambda: now[0], tell_seconds=0.001, jitter=lambda _most: 0.0)

    async def away(*seen):
        now[0] += 10
        return await says(503)(*seen)

    server.always = away
    with caplog.at_level(logging.INFO, "scrapy_batching"):
        bench.delivery.put(bench.filed())
        await bench.delivery.finish(600)
    await bench.end()
    lines = [one.getMessage() for one in caplog.records if "the crawl is done" in one.getMessage()]
    assert lines
    assert "3 items wait for the server (answer 503)" in lines[-1]
    assert bench.counts()["items/spooled"] == 3
