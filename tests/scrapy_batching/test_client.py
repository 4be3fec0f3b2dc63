"""The client against the contract, over a real socket; time and chance are arguments."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from scrapy_batching.answers import Delivered, ForLater, Refused, TooLarge
from scrapy_batching.batcher import Part
from scrapy_batching.client import Client, Way
from tests.scrapy_batching.fake_server import (
    FakeServer,
    Holding,
    acknowledges,
    drops,
    forgets,
    problem,
    says,
    serving,
    shows,
)
from tests.scrapy_batching.make import batch


class Notes:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.bodies: list[int] = []
        self.reasons: list[str] = []
        self.told: list[bool] = []
        self.taken = 0

    def answered(self, status: int) -> None:
        self.statuses[status] += 1

    def sent(self, size: int) -> None:
        self.bodies.append(size)

    def unavailable(self, reason: str, *, is_told: bool = False) -> None:
        self.reasons.append(reason)
        self.told.append(is_told)

    def available(self) -> None:
        self.taken += 1


class Bench:
    """A client whose pauses take no time and are written down."""

    def __init__(self, url: str, **way: Any) -> None:
        self.notes = Notes()
        self.pauses: list[float] = []
        self.now = 0.0
        self.way = Way(**{"url": url, "crawl": "a crawl/1", "compression": "off"} | way)
        self.client = Client(self.way, self.notes, pause=self.pause, jitter=lambda most: most, clock=lambda: self.now)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


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


async def test_no_answer_within_the_timeout_is_tried_again(server):
    bench = Bench(server.url, timeout=0.05)
    holding = Holding()
    server.tricks.append(holding)
    assert await bench.client.deliver(batch()) == Delivered(3, 0)
    await bench.client.close()
    holding.go.set()
    assert bench.notes.reasons == ["no answer within 0.05 s"]


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
    server.on_close.append(shows(200, "<html>"))
    assert await bench.client.close_crawl({"items": 0}, give_up_at=100) is None
    assert len(server.closes) == 4


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


async def test_it_is_told_once_that_a_batch_has_to_wait(server, bench):
    waited = []

    async def waits():
        waited.append(len(server.sent))

    server.tricks.extend([says(503)] * 3)
    await bench.client.deliver(batch(), waits=waits)
    await bench.client.deliver(batch(), waits=waits)
    assert waited == [1]


async def test_a_batch_whose_file_is_gone_is_an_error_and_no_network_trouble(bench, tmp_path):
    gone = replace(batch(), lines=(), part=Part(tmp_path / "gone", 0, 3))
    with pytest.raises(FileNotFoundError):
        await bench.client.deliver(gone)


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
