"""Trouble that passes is waited out: how long, how often, and who is told; time and chance are arguments."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from scrapy_batching.wire.answers import Delivered
from scrapy_batching.wire.client import Client, Way
from tests.scrapy_batching.fake_server import FakeServer, Holding, drops, says, serving, shows
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
    assert bench.pauses == [7, 1.0]
    assert bench.notes.statuses == {status: 2, 200: 1}
    assert bench.notes.reasons == [f"answer {status}: the journal is full", f"answer {status}"]
    assert bench.notes.told == [True, False]
    assert bench.notes.taken == 1


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
            await bench.pause(seconds)
            if len(bench.pauses) == 8:
                await stack.enter_async_context(serving(server, unused_tcp_port))

        bench.client = Client(bench.way, bench.notes, pause=pause, jitter=lambda most: most)
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


async def test_it_is_told_once_that_a_batch_has_to_wait(server, bench):
    waited = []

    async def waits():
        waited.append(len(server.sent))

    server.tricks.extend([says(503)] * 3)
    await bench.client.deliver(batch(), waits=waits)
    await bench.client.deliver(batch(), waits=waits)
    assert waited == [1]


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


async def test_what_one_sender_learns_wakes_the_others(server):
    """Else each of them would find out for itself, up to half a minute after the first."""
    sleepers, now = Sleepers(), [0.0]
    client = Client(
        Way(url=server.url, crawl="c"), Notes(), pause=sleepers, jitter=lambda most: most, clock=lambda: now[0]
    )
    server.tricks.extend([says(502)] * 3)
    waiting = [asyncio.create_task(client.deliver(batch())) for _ in range(3)]
    await sleepers.until(3)
    now[0] = 0.2
    assert await client.deliver(batch()) == Delivered(3, 0)
    assert await asyncio.gather(*waiting) == [Delivered(3, 0)] * 3
    assert sleepers.pauses == [0.5] * 3
    await client.close()


async def test_the_news_never_shortens_what_the_server_asked_for_nor_all_of_a_pause(server):
    """A server that takes one table and not the other would be asked for the other with every batch of the one."""
    sleepers = Sleepers()
    client = Client(
        Way(url=server.url, crawl="c"), Notes(), pause=sleepers, jitter=lambda most: most, clock=lambda: 0.0
    )
    server.tricks.extend([says(503, Retry_After="9"), says(502)])
    waiting = []
    for count in (1, 2):
        waiting.append(asyncio.create_task(client.deliver(batch())))
        await sleepers.until(count)
    await client.deliver(batch())
    await sleepers.until(4)
    assert sleepers.pauses[:2] == [9, 0.5]
    assert sorted(sleepers.pauses[2:]) == [0.05, 9]
    assert len(server.sent) == 3
    sleepers.end.set()
    await asyncio.gather(*waiting)
    await client.close()
