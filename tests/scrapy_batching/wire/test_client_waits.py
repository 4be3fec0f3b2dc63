"""Trouble that passes is waited out: how long, how often, and who is told; time and chance are arguments."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from scrapy_batching.wire.answers import Delivered, ForLater, Refused
from scrapy_batching.wire.client import Client
from scrapy_batching.wire.way import Link, Way
from tests.scrapy_batching.fake_server import FakeServer, Holding, drops, problem, says, serving, shows
from tests.scrapy_batching.make import batch
from tests.scrapy_batching.wire.client_bench import Bench, Notes


@pytest.fixture
async def bench(server):
    made = Bench(server.url)
    yield made
    await made.client.close()


@pytest.mark.parametrize("status", [408, 409, 429, 502, 503, 504])
async def test_what_may_pass_is_tried_again_under_the_same_name(server, bench, status):
    full = says(status, "try again later", "the journal is full", Retry_After="7")
    server.tricks.extend([full, shows(status, "a proxy's page")])
    one = batch()
    assert await bench.client.deliver(one) == Delivered(3, 0)
    assert server.sent == [str(one.id)] * 3
    # Retry-After is a minimum; without one the pause is our own, twice as long as the first would have been.
    assert bench.now == 7 + 1.0
    assert bench.notes.statuses == {status: 2, 200: 1}
    assert bench.notes.reasons == [f"answer {status}: the journal is full", f"answer {status}"]
    is_away = status in (502, 503, 504)
    assert bench.notes.told == ([True, False] if is_away else [])
    assert bench.notes.taken == is_away


@pytest.mark.parametrize("after_storing", [False, True])
async def test_a_lost_answer_is_asked_for_again_and_stores_nothing_twice(server, bench, after_storing):
    server.tricks.append(drops(after_storing))
    assert await bench.client.deliver(batch()) == Delivered(3, 0)
    assert len(server.items) == 3
    assert len(bench.notes.reasons) == 1


async def test_a_server_that_is_not_there_yet_is_waited_for(unused_tcp_port):
    server = FakeServer()
    bench = Bench(f"http://127.0.0.1:{unused_tcp_port}")
    async with AsyncExitStack() as stack:

        async def pause(seconds):
            if len(bench.pauses) == 7:
                await stack.enter_async_context(serving(server, unused_tcp_port))
            await bench.pause(seconds)

        bench.client = Client(bench.way, bench.notes, pause=pause, jitter=lambda most: most, clock=lambda: bench.now)
        assert await bench.client.deliver(batch()) == Delivered(3, 0)
        await bench.client.close()
    assert bench.pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(
    "trick",
    [
        shows(200, "<html>log in</html>"),
        shows(200, '{"id": "cut o', "application/json"),
        shows(202, "[]", "application/json"),
    ],
)
async def test_an_answer_that_says_nothing_about_the_batch_proves_nothing(server, bench, trick):
    server.tricks.append(trick)
    assert await bench.client.deliver(batch()) == Delivered(3, 0)
    assert len(server.sent) == 2


async def test_no_answer_within_the_timeout_is_tried_again(server):
    bench = Bench(server.url, timeout=0.05)
    holding = Holding()
    server.tricks.append(holding)
    assert await bench.client.deliver(batch()) == Delivered(3, 0)
    await bench.client.close()
    holding.go.set()
    assert bench.notes.reasons == ["no answer within 0.05 s"]


class Sleepers:
    """Pauses that last until they are told to end."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.end = asyncio.Event()
        self.begun = asyncio.Condition()

    async def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        async with self.begun:
            self.begun.notify_all()
        await self.end.wait()

    async def until(self, count: int) -> None:
        async with self.begun:
            await self.begun.wait_for(lambda: len(self.pauses) >= count)


async def test_what_one_client_learns_wakes_the_others_and_only_one_asks_meanwhile(server):
    """Else each of them would find out for itself, up to half a minute after the first."""
    sleepers, notes, now = Sleepers(), Notes(), [0.0]
    way = Way(url=server.url, crawl="c")
    link = Link(way, notes, clock=lambda: now[0], jitter=lambda most: most)

    def client(pause, behind=0.0):
        return Client(way, notes, link=link, behind=behind, pause=pause, jitter=lambda most: most)

    server.tricks.extend([says(502)] * 3)
    first, others = client(sleepers), client(sleepers, behind=0.5)
    waiting = [asyncio.create_task(one.deliver(batch())) for one in (first, others, others)]
    await sleepers.until(3)
    assert notes.told == [False], "three failed before anybody knew: one breaker, told once"
    assert sorted(sleepers.pauses) == [0.5, 1.0, 1.0]
    now[0] = 0.6
    probe = client(asyncio.sleep)
    assert await probe.deliver(batch()) == Delivered(3, 0)
    assert await asyncio.gather(*waiting) == [Delivered(3, 0)] * 3
    assert notes.taken == 1
    for one in (first, others, probe):
        await one.close()


async def test_a_table_that_takes_nothing_holds_up_what_earlier_crawls_left_for_a_few_tries_only(server, bench):
    async def parked(*_):
        return problem(503, "parked", "the table is parked", table="books")

    server.always = parked
    outcome = await bench.client.deliver(batch())
    assert isinstance(outcome, ForLater)
    assert "the table is parked" in str(outcome.problem)
    assert len(server.sent) == 5
    assert bench.notes.told == [], "the server is there"


@pytest.mark.parametrize(
    ("refused", "sent", "told"),
    [
        ({"zstd"}, ["zstd", "gzip", "gzip"], [("zstd", "gzip")]),
        ({"zstd", "gzip"}, ["zstd", "gzip", "identity", "identity"], [("zstd", "gzip"), ("gzip", "identity")]),
    ],
)
async def test_a_server_without_a_coding_gets_another_one_for_the_rest_of_the_crawl(server, refused, sent, told):
    bench = Bench(server.url, compression="zstd")

    async def picky(_server, request, _body):
        return problem(415, "no") if request.headers.get("Content-Encoding") in refused else None

    server.always = picky
    for _ in range(2):
        assert await bench.client.deliver(batch()) == Delivered(3, 0)
    await bench.client.close()
    assert [one.get("Content-Encoding", "identity") for one in server.headers] == sent
    assert bench.notes.fallbacks == told


async def test_a_415_for_a_plain_body_is_final(server, bench):
    server.tricks.append(says(415))
    assert isinstance(await bench.client.deliver(batch()), Refused)
    assert bench.notes.fallbacks == []


async def test_what_a_proxy_repeats_of_our_secrets_is_not_shown(server):
    bench = Bench(server.url, token="s3cret-token", headers={"X-Api-Key": "k3y-value"})

    async def repeats(_server, request, _body):
        said = f"{request.headers['Authorization']} and {request.headers['X-Api-Key']} are unknown"
        return problem(403, "no", said)

    server.always = repeats
    outcome = await bench.client.deliver(batch())
    await bench.client.close()
    assert "(not shown) are unknown" in str(outcome.problem)
    assert "s3cret" not in str(outcome)
    assert "k3y" not in str(outcome)
    assert "s3cret" not in repr(bench.way)
    assert "k3y" not in repr(bench.way)
