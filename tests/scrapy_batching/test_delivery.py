"""Who holds a batch: until the server has it or the disk has it, and nobody lets go before."""

import asyncio
import json
import logging
import time

import pytest

from scrapy_batching.answers import Delivered
from scrapy_batching.batcher import OpenBatches
from scrapy_batching.client import Client, Way
from scrapy_batching.delivery import Delivery
from scrapy_batching.spool import Spool
from tests.scrapy_batching.fake_server import Holding, acknowledges, drops, says, takes_at_most
from tests.scrapy_batching.make import batch, telemetry


class Bench:
    """A delivery to a fake server, and what it did."""

    def __init__(self, url, directory, senders=2, clock=time.monotonic, tell_seconds=10.0):
        self.telemetry, self.stats = telemetry()
        self.released: list[tuple[int, int]] = []
        self.directory = directory
        self.spool = Spool(directory, crawl="c", spider="s", observer=self.telemetry)
        way = Way(url=url, crawl="c")

        async def pause(_seconds):
            await asyncio.sleep(0)

        self.client = Client(way, self.telemetry, pause=pause)
        self.delivery = Delivery(
            self.client,
            self.spool,
            self.telemetry,
            senders=senders,
            address=way.batches,
            released=lambda gone: self.released.append((len(gone), gone.size)),
            clock=clock,
            tell_seconds=tell_seconds,
            again_seconds=0.01,
        )

    async def end(self):
        await self.delivery.stop()
        await self.client.close()

    def counts(self):
        self.telemetry.publish(0)
        return self.stats

    def filed(self, count=3, table="books"):
        """A closed batch whose items lie in its file."""
        open_batches = OpenBatches(
            most_items=count, most_bytes=10**6, most_age=5.0, clock=lambda: 0.0, place=self.spool.place
        )
        (closed,) = [one for n in range(count) for one in open_batches.add(table, b'{"n":%d}' % n)]
        return closed

    def files(self):
        return sorted(self.directory.glob("*/books/*.ndjson"))

    def lines(self, kind):
        files = self.directory.rglob("*.ndjson") if kind == "refused" else self.directory.glob("*/*/*.ndjson")
        files = [file for file in files if ("refused" in file.parts) == (kind == "refused")]
        return sorted(json.loads(line)["n"] for file in files for line in file.read_text().splitlines())


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


async def test_no_more_than_the_senders_are_on_their_way(server, bench):
    holding = Holding()
    server.always = holding
    for _ in range(5):
        bench.delivery.put(batch())
    await holding.reached.wait()
    while len(server.sent) < 2:
        server.arrived.clear()
        await server.arrived.wait()
    assert len([task for task in asyncio.all_tasks() if task.get_name().startswith("scrapy_batching sender")]) == 2
    assert len(server.sent) == 2
    holding.go.set()
    await bench.delivery.finish(30)
    assert len(server.items) == 15


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
        assert "curl" in errors[0].getMessage()


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
    async def broken(_batch, **_more):
        raise ZeroDivisionError

    monkeypatch.setattr(bench.client, "deliver", broken)
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
    async def half(_batch, **_more):
        return Delivered(total=1, failed=0)

    monkeypatch.setattr(bench.client, "deliver", half)
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


async def test_a_file_goes_when_its_batch_is_delivered(server, bench):
    for ack, status in (("journaled", 202), ("committed", 200)):
        server.tricks.append(acknowledges(ack, status))
        bench.delivery.put(bench.filed())
        assert len(bench.files()) == 1
        await bench.delivery.finish(30)
        assert bench.files() == []


async def test_a_file_stays_while_the_server_has_its_batch_in_memory_only(server, bench):
    server.tricks.append(acknowledges("memory", 202))
    holding = Holding()
    server.on_ask.append(holding)
    bench.delivery.put(bench.filed())
    await holding.reached.wait()
    assert len(bench.files()) == 1
    holding.go.set()
    await bench.delivery.finish(30)
    assert bench.files() == []


async def test_a_file_is_marked_as_split_before_a_half_is_sent_and_goes_with_its_last_part(server, bench):
    server.always = takes_at_most(3)
    one = bench.filed(10)
    seen = []

    async def look(fake, request, body):
        names = [file.name for file in bench.files()]
        seen.append((request.headers["Idempotency-Key"], names))
        return await takes_at_most(3)(fake, request, body)

    server.always = look
    bench.delivery.put(one)
    await bench.delivery.finish(30)
    assert seen[0] == (str(one.id), [f"{one.id}.ndjson"])
    assert all(names == [f"{one.id}.split.ndjson"] for _, names in seen[1:])
    assert bench.files() == []
    assert sorted(item["n"] for item in server.items) == list(range(10))


async def test_the_file_of_a_split_batch_stays_while_one_part_of_it_is_not_resolved(server, bench):
    async def refuses_one_half(fake, request, body):
        return await says(404)(fake, request, body) if b'"n":3' in body else await takes_at_most(3)(fake, request, body)

    server.tricks.append(says(413))
    server.always = refuses_one_half
    one = bench.filed(4)
    bench.delivery.put(one)
    await bench.delivery.finish(30)
    assert [file.name for file in bench.files()] == [f"{one.id}.split.ndjson"]
    counts = bench.counts()
    assert (counts["items/delivered"], counts["items/spooled"]) == (2, 2)


async def test_what_the_server_refuses_moves_to_refused_and_leaves_the_run_s_folder(server, bench):
    server.tricks.append(says(422))
    bench.delivery.put(bench.filed())
    await bench.delivery.finish(30)
    assert bench.lines("refused") == [0, 1, 2]
    assert len(bench.files()) == 1, "the one in refused/"
    assert bench.files()[0].parent.parent.name == "refused"


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_the_next_crawl_may_send_stays_where_it_is(server, bench, status):
    server.tricks.append(says(status))
    bench.delivery.put(bench.filed())
    before = bench.files()
    await bench.delivery.finish(30)
    assert bench.files() == before
    assert bench.counts()["items/spooled"] == 3


async def test_a_batch_whose_file_somebody_removed_is_a_loud_loss(server, bench, caplog):
    one = bench.filed()
    bench.files()[0].unlink()
    bench.delivery.put(one)
    await bench.delivery.finish(30)
    assert "LOSES 3 items" in caplog.text
    assert bench.counts()["items/dropped"] == 3


async def test_a_batch_that_waits_is_flushed_to_the_disk_once(server, bench, monkeypatch):
    flushed = []
    monkeypatch.setattr(bench.spool, "sync", lambda paths: flushed.append(set(paths)))
    server.tricks.extend([says(503)] * 3)
    one = bench.filed()
    bench.delivery.put(one)
    await bench.delivery.finish(30)
    assert flushed == [{one.part.path}]


async def test_a_closing_crawl_says_how_it_gets_on(server, tmp_path, caplog):
    now = [0.0]
    bench = Bench(server.url, tmp_path, clock=lambda: now[0], tell_seconds=0.001)

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
