"""BATCHING_DEADLINE and BATCHING_ON_FAILURE: for how long a batch is tried, and what happens then."""

import json
import logging

import pytest

from scrapy_batching.closing import mismatch
from scrapy_batching.spool.stock import Counted
from tests.scrapy_batching.delivery.bench import Bench
from tests.scrapy_batching.fake_server import problem, says
from tests.scrapy_batching.make import batch


class Late(Bench):
    """A delivery whose clock goes on by a second with each answer, and whose pauses take no time."""

    def __init__(self, server, directory, **more):
        self.now = 0.0
        self.answers = says(503, "full")
        super().__init__(
            server.url, directory, clock=lambda: self.now, jitter=lambda _most: 0.0, **{"deadline": 5.0, **more}
        )

        async def passes(fake, request, body):
            self.now += 1.0
            return None if self.answers is None else await self.answers(fake, request, body)

        server.always = passes


async def test_without_a_deadline_nothing_is_given_up(server, tmp_path):
    bench = Late(server, tmp_path, deadline=0.0)
    bench.delivery.put(batch())
    while len(server.sent) < 50:
        server.arrived.clear()
        await server.arrived.wait()
    bench.answers = None
    await bench.delivery.finish(600)
    assert bench.counts()["items/delivered"] == 3
    await bench.end()


@pytest.mark.parametrize("then", ["spool", "stop"])
async def test_past_the_deadline_a_batch_is_left_for_the_next_crawl(server, tmp_path, caplog, then):
    bench = Late(server, tmp_path, then=then)
    bench.delivery.put(bench.filed())
    await bench.until(lambda: not bench.delivery.items)
    assert bench.lines("waiting") == [0, 1, 2]
    assert len(server.sent) == 5
    assert bench.parked
    assert bench.released == []
    assert bench.counts()["items/spooled"] == 3
    assert "not delivered within 5 s, BATCHING_DEADLINE" in caplog.text
    assert bench.stopped == (["batching_delivery_failed"] if then == "stop" else [])
    await bench.end()


async def test_drop_removes_the_file_loudly_and_the_counts_agree(server, tmp_path, caplog):
    bench = Late(server, tmp_path, then="drop")
    for _ in range(12):
        one = bench.filed()
        bench.spool.count({"batch": str(one.id), "table": one.table, "items": len(one)})
        bench.delivery.put(one)
    await bench.until(lambda: not bench.delivery.items)
    assert bench.files() == []
    assert len(bench.released) == 12
    counts = bench.counts()
    assert (counts["items/dropped"], counts["batches/dropped"]) == (36, 12)
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.CRITICAL]
    assert [one.partition(",")[0] for one in told] == ["batching DROPS batches"] * 2, "with the 1st and the 10th"
    tally = [json.loads(line) for line in next(tmp_path.glob("*/tally.ndjson")).read_text().splitlines()]
    counted = Counted.of(tally)
    items = counted.gone + sum(counted.batches.values()) + counted.rejected + counted.dropped
    assert (items, counted.dropped) == (36, 36), "what leftovers tell the server after a SIGKILL"
    await bench.end()


async def test_what_waits_behind_has_its_own_time_from_when_nothing_was_taken(server, tmp_path):
    bench = Late(server, tmp_path, then="spool")
    for _ in range(4):
        bench.delivery.put(bench.filed())
    await bench.until(lambda: not bench.delivery.items)
    assert bench.counts()["items/spooled"] == 12
    assert len(server.sent) < 12, "they were given up together, and not one after the other"
    await bench.end()


async def test_one_table_s_deadline_is_no_other_s(server, tmp_path):
    bench = Late(server, tmp_path, then="stop")

    async def parked(_fake, request, _body):
        return problem(503, "parked", table="books") if request.match_info["table"] == "books" else None

    bench.answers = parked
    for _ in range(3):
        bench.delivery.put(batch(2, "books"))
    for _ in range(20):
        bench.delivery.put(batch(1, "a"))
    await bench.until(lambda: not bench.delivery.items)
    counts = bench.counts()
    assert (counts["items/delivered"], counts["items/spooled"]) == (20, 6)
    assert bench.stopped
    await bench.end()


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("then", ["spool", "stop", "drop"])
async def test_what_waiting_does_not_mend_stops_at_once_and_is_never_dropped(server, tmp_path, status, then):
    """A token that is wrong must not let a crawl scrape for hours, nor throw its items away."""
    bench = Bench(server.url, tmp_path, then=then)
    server.always = says(status, "no")
    for _ in range(3):
        bench.delivery.put(bench.filed())
    await bench.delivery.finish(30)
    assert len(bench.lines("waiting")) == 9
    assert bench.counts()["items/spooled"] == 9
    assert bench.stopped == [], "it was ending already"
    bench.delivery.put(bench.filed())
    await bench.until(lambda: not bench.delivery.items)
    assert bench.stopped == (["batching_delivery_failed"] if then == "stop" else [])
    await bench.end()


async def test_in_a_crawl_that_is_ending_the_deadline_stops_nothing(server, tmp_path):
    bench = Late(server, tmp_path, then="stop")
    bench.delivery.put(bench.filed())
    await bench.delivery.finish(600)
    assert bench.counts()["items/spooled"] == 3
    assert bench.stopped == []
    await bench.end()


def test_a_dropped_batch_that_the_server_has_all_the_same_is_no_mismatch(server, tmp_path, caplog):
    bench = Late(server, tmp_path, then="drop")
    bench.telemetry.gave_up(batch(3), "late")
    bench.telemetry.summary("c", "finished", {"missing": -3}, tmp_path)
    assert mismatch({"missing": -3}, 0) is not None
    assert "counts of crawl" not in caplog.text
