import asyncio
import itertools

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from loadtests.driver import Batch, arrivals, drive
from loadtests.errors import AnswerError, PartError
from loadtests.measure import percentile

BATCHES = [Batch(f"batch-{number}", b'{"a":1}\n{"a":2}\n', 2) for number in range(6)]


def settled(items, **changed):
    counts = {"total": items, "processed": items, "succeeded": items, "failed": 0}
    return {"ack": "committed", **counts, "inserted": items, "updated": 0, "unchanged": 0, **changed}


class Server:
    """An ingest server that keeps what it was asked, and answers as it is told."""

    def __init__(self, answer=None, *, status=200, together=1):
        self.answer = answer
        self.status = status
        self.asked = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.enough = asyncio.Event()
        self.together = together

    async def __aenter__(self):
        app = web.Application()
        app.router.add_post("/v1/tables/{table}/batches", self.take)
        self.server = TestServer(app)
        await self.server.start_server()
        return self

    async def __aexit__(self, *exc):
        await self.server.close()

    @property
    def url(self):
        return str(self.server.make_url("/")).rstrip("/")

    async def take(self, request):
        body = await request.read()
        self.asked.append((request.match_info["table"], dict(request.headers), body))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if len(self.asked) >= self.together:
            self.enough.set()
        await self.enough.wait()
        self.in_flight -= 1
        answer = settled(body.count(b"\n")) if self.answer is None else self.answer
        if isinstance(answer, bytes):
            return web.Response(body=answer, status=self.status)
        return web.json_response(answer, status=self.status)


async def test_every_batch_is_sent_once_under_its_name_and_asks_for_the_commit():
    async with Server() as server:
        outcome = await drive(server.url, "a.b", BATCHES, in_flight=2)
    assert sorted(headers["Idempotency-Key"] for _, headers, _ in server.asked) == [batch.name for batch in BATCHES]
    for table, headers, body in server.asked:
        assert table == "a.b"
        assert headers["Prefer"] == "wait=60"
        assert headers["Content-Type"] == "application/x-ndjson"
        assert body == BATCHES[0].body
    assert (outcome.items, outcome.inserted, outcome.updated, outcome.unchanged) == (12, 12, 0, 0)
    assert len(outcome.latencies) == len(BATCHES)
    assert max(outcome.latencies) <= outcome.seconds


async def test_fates_are_added_up():
    async with Server(settled(2, inserted=0, updated=1, unchanged=1)) as server:
        outcome = await drive(server.url, "t", BATCHES, in_flight=2)
    assert (outcome.items, outcome.inserted, outcome.updated, outcome.unchanged) == (12, 0, 6, 6)


async def test_a_closed_loop_keeps_exactly_so_many_requests_in_flight():
    async with Server(together=3) as server:
        await drive(server.url, "t", BATCHES, in_flight=3)
    assert server.most_in_flight == 3


async def test_an_open_loop_does_not_wait_for_answers():
    async with Server(together=len(BATCHES)) as server:  # nothing is answered before the last batch is there
        outcome = await drive(server.url, "t", BATCHES, in_flight=1, starts=[0.0] * len(BATCHES))
    assert server.most_in_flight == len(BATCHES)
    assert outcome.items == 12


async def test_in_an_open_loop_latency_counts_from_the_intended_start():
    late = -5.0  # five seconds ago: the loader itself is behind, and says so
    async with Server() as server:
        outcome = await drive(server.url, "t", BATCHES[:1], in_flight=1, starts=[late])
    assert outcome.latencies[0] > 5


async def test_the_warm_up_is_over_before_the_gate_and_counts_for_nothing():
    async with Server() as server:
        seen = []

        async def gate():
            seen.extend(headers["Idempotency-Key"] for _, headers, _ in server.asked)

        warm_up, timed = BATCHES[:4], BATCHES[4:]
        outcome = await drive(server.url, "t", timed, in_flight=2, warm_up=warm_up, gate=gate)
    assert sorted(seen) == [batch.name for batch in warm_up]
    assert outcome.items == 4
    assert len(outcome.latencies) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        settled(1),
        settled(2, failed=1),
        settled(2, succeeded=1),
        settled(2, processed=0),
        settled(2, inserted=1),
        settled(2, inserted=3),
        settled(2, ack="journaled"),
        {"ack": "committed"},
        [],
        b"not JSON",
    ],
    ids=str,
)
async def test_an_answer_that_does_not_account_for_every_item_fails_the_run(wrong):
    async with Server(wrong) as server:
        with pytest.raises(AnswerError) as caught:
            await drive(server.url, "t", BATCHES, in_flight=2)
    assert caught.value.status == 200
    assert caught.value.batch in {batch.name for batch in BATCHES}


@pytest.mark.parametrize("status", [202, 207, 409, 429, 500, 503])
async def test_any_status_but_200_fails_the_run(status):
    async with Server(settled(2), status=status) as server:
        with pytest.raises(AnswerError, match=str(status)):
            await drive(server.url, "t", BATCHES, in_flight=2)
        with pytest.raises(AnswerError, match=str(status)):
            await drive(server.url, "t", BATCHES, in_flight=2, starts=[0.0] * len(BATCHES))


async def test_a_wrong_answer_in_the_warm_up_fails_the_run_as_well():
    async with Server(settled(2, failed=1)) as server:
        with pytest.raises(AnswerError):
            await drive(server.url, "t", [], in_flight=1, warm_up=BATCHES)


async def test_a_server_that_is_not_there_fails_the_run():
    async with Server() as server:
        url = server.url
    with pytest.raises(PartError, match="server failed"):
        await drive(url, "t", BATCHES, in_flight=2)


@given(st.floats(min_value=0.1, max_value=1e4), st.integers(min_value=0, max_value=200), st.integers())
def test_arrivals_ascend_and_are_the_same_for_a_seed(rate, count, seed):
    times = arrivals(rate, count, seed)
    assert len(times) == count
    assert times == sorted(times)
    assert all(time > 0 for time in times)
    assert times == arrivals(rate, count, seed)


def test_arrivals_keep_their_rate_and_come_unevenly():
    times = arrivals(100, 20_000, 1)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert times[-1] == pytest.approx(200, rel=0.05)
    assert percentile(gaps, 0.5) == pytest.approx(0.00693, rel=0.05)  # ln 2 / rate: exponential gaps
