"""The file of a batch that is on its way: it lies there until the server has all of it, and no longer."""

import pytest

from tests.scrapy_batching.delivery.bench import Bench
from tests.scrapy_batching.fake_server import Holding, acknowledges, says, takes_at_most


@pytest.fixture
async def bench(server, tmp_path):
    made = Bench(server.url, tmp_path)
    yield made
    await made.end()


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
