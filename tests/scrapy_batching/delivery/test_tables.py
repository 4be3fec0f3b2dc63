"""Several tables from one spider: one that is refused, parked or full never holds up the others."""

import asyncio

import pytest

from tests.scrapy_batching.delivery.bench import Bench
from tests.scrapy_batching.fake_server import drops, problem, says
from tests.scrapy_batching.make import batch


@pytest.fixture
async def bench(server, tmp_path):
    made = Bench(server.url, tmp_path, most=4, way={"retry_base": 30.0, "retry_max": 30.0})
    yield made
    await made.end()


def only(table, trick):
    """Plays the trick on one table's batches."""

    async def played(fake, request, body):
        return await trick(fake, request, body) if request.match_info["table"] == table else None

    return played


def parked(status=503, **headers):
    async def trick(_fake, request, _body):
        return problem(status, "parked", "the table is parked", table=request.match_info["table"], **headers)

    return trick


@pytest.mark.parametrize(
    "trick",
    [
        parked(Retry_After="60"),
        parked(429),
        says(404, "no table"),
        says(403, "not yours"),
        says(409),
        says(422),
        says(413),
    ],
    ids=["503 with table", "429 with table", "404", "403", "409", "422", "413"],
)
async def test_one_table_s_trouble_holds_up_no_other(server, bench, trick):
    """Every sender would be taken by the first table, if its batches waited where they are sent."""
    server.always = only("books", trick)
    for _ in range(10):
        bench.delivery.put(batch(1, "books"))
    for _ in range(10):
        for table in ("a", "b"):
            bench.delivery.put(batch(1, table))
    await bench.until(lambda: bench.delivery.items <= 10 and len(server.items) == 20)
    assert {one.table for one in server.batches.values()} == {"a", "b"}
    assert not bench.link.breaker.is_open


async def test_a_table_that_takes_nothing_is_asked_with_one_batch_at_a_time_and_all_follow_when_it_does(
    server, tmp_path
):
    bench = Bench(server.url, tmp_path, most=4)
    answers = []

    async def full_at_first(fake, request, body):
        answers.append(request.match_info["table"])
        return await parked()(fake, request, body) if answers.count("books") < 8 else None

    server.always = only("books", full_at_first)
    for _ in range(6):
        bench.delivery.put(batch(1, "books"))
    await bench.delivery.finish(30)
    assert len(server.items) == 6
    assert len(answers) == 7 + 6
    await bench.end()


async def test_two_hundred_tables_and_a_slow_server_are_served_in_turn(server, tmp_path):
    bench = Bench(server.url, tmp_path, most=8)
    for _ in range(3):
        for number in range(200):
            bench.delivery.put(batch(1, f"table{number}"))
    await bench.delivery.finish(30)
    assert len(server.items) == 600
    tables = [one.table for one in server.batches.values()]
    assert len(set(tables[:200])) > 190, (
        "each table's first before any table's second, but for those on their way at once"
    )
    await bench.end()


async def test_a_token_s_rate_lets_everybody_wait_and_is_no_outage(server, tmp_path):
    bench = Bench(server.url, tmp_path, most=4)
    server.tricks.extend([says(429)] * 3)
    for _ in range(8):
        bench.delivery.put(batch(1))
    await bench.delivery.finish(30)
    counts = bench.counts()
    assert (counts["items/delivered"], counts["retries"], counts["outages"]) == (8, 3, 0)
    await bench.end()


async def test_a_server_that_was_away_is_met_with_one_then_a_few(server, tmp_path):
    """Else everybody who waited would fall upon it at once."""
    bench = Bench(server.url, tmp_path, most=16, way={"connections": 20})
    for _ in range(100):
        bench.delivery.put(batch(1))
    await bench.delivery.finish(30)
    assert bench.pace.now == 16
    under_way, most = 0, []

    async def counts(fake, request, body):
        nonlocal under_way
        under_way += 1
        for _ in range(20):
            await asyncio.sleep(0)
        most.append(under_way)
        under_way -= 1
        return await says(502)(fake, request, body) if len(fake.sent) <= 100 + 16 else None

    server.always = counts
    for _ in range(60):
        bench.delivery.put(batch(1))
    await bench.delivery.finish(30)
    assert len(server.items) == 100 + 60
    assert max(most[:16]) > 8, "many were on their way when it went"
    assert max(most[16:18]) <= 3
    assert bench.counts()["outages"] == 1
    await bench.end()


async def test_one_batch_that_a_proxy_always_cuts_off_does_not_stop_the_rest(server, tmp_path):
    bench = Bench(server.url, tmp_path, most=1)
    poison = batch(2, "books")

    async def cuts(fake, request, body):
        return await drops()(fake, request, body) if request.headers["Idempotency-Key"] == str(poison.id) else None

    server.always = cuts
    bench.delivery.put(poison)
    for _ in range(20):
        bench.delivery.put(batch(1, "books"))
    await bench.until(lambda: bench.delivery.items == 2)
    assert len(server.items) == 20
    await bench.end()
