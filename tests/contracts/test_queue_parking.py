"""What every `BatchQueue` promises of parked tables."""

import asyncio

from ingest_server.model import Batch, TableName
from ingest_server.ports import BatchQueue
from tests import make
from tests.contracts.queues import Make, take
from tests.journals import SECONDS

BAD, GOOD = TableName("public", "bad"), TableName("public", "good")
ROOM = 20


def bad(number: int, table: str = "bad") -> Batch:
    return make.batch({"a": number}, {"b": number}, table=table)


async def put(queue: BatchQueue, *batches: Batch) -> None:
    for batch in batches:
        await queue.put(batch)


async def test_batches_of_a_parked_table_wait_and_the_others_pass_them(make_queue: Make) -> None:
    queue = await make_queue(ROOM)
    first, second, third = bad(1), bad(2), bad(3)
    await put(queue, first, second)
    queue.park(BAD)
    good = make.batch({"a": 1}, table="good")
    await put(queue, third, good)
    assert await take(queue) == good
    assert queue.set_aside_count == 3
    assert (queue.waiting(BAD).batches, queue.waiting(BAD).items, queue.waiting(GOOD).batches) == (3, 6, 1)
    assert queue.parked == queue.waiting(BAD)
    queue.resume(BAD)
    assert {(await take(queue)).id for _ in range(3)} == {first.id, second.id, third.id}
    assert queue.set_aside_count == 0
    assert queue.parked.batches == 0


async def test_bodies_that_wait_for_a_parked_table_take_no_memory_where_there_is_a_disk(make_queue: Make) -> None:
    queue = await make_queue(ROOM)
    batches = [bad(number) for number in range(3)]
    await put(queue, *batches)
    queue.park(BAD)
    good = make.batch({"a": 1}, table="good")
    await queue.put(good)
    await queue.ack(await take(queue))
    size = sum(batch.size for batch in batches)
    assert queue.held_bytes == (size if queue.promise == "memory" else 0)
    queue.resume(BAD)
    assert {(await take(queue)).body for _ in batches} == {batch.body for batch in batches}


async def test_one_batch_is_let_through_as_a_probe_and_another_the_next_time(make_queue: Make) -> None:
    queue = await make_queue(ROOM)
    queue.park(BAD)
    batches = [bad(number) for number in range(3)]
    await put(queue, *batches)
    seen = []
    for _ in range(4):
        queue.probe(BAD)
        seen.append((await take(queue)).id)
        assert queue.set_aside_count == 2
        queue.set_aside(next(one for one in batches if one.id == seen[-1]), 3600)
        assert queue.set_aside_count == 3, "at once: its own time does not count any more"
    assert seen == [batch.id for batch in batches] + [batches[0].id]


async def test_a_probe_without_a_batch_is_the_next_that_comes(make_queue: Make) -> None:
    queue = await make_queue(ROOM)
    queue.park(BAD)
    queue.probe(BAD)
    queue.probe(BAD)
    first, second = bad(1), bad(2)
    await put(queue, first, second)
    assert await take(queue) == first
    assert queue.set_aside_count == 1


async def test_a_batch_that_waits_on_its_own_stays_when_its_table_is_parked(make_queue: Make) -> None:
    queue = await make_queue(ROOM)
    batch = bad(1)
    await queue.put(batch)
    queue.set_aside(await take(queue), 0.001)
    queue.park(BAD)
    good = make.batch({"a": 1}, table="good")
    async with asyncio.timeout(SECONDS):
        while queue.waiting(BAD) != queue.parked or queue.set_aside_count != 1:  # noqa: ASYNC110
            await asyncio.sleep(0)
    await queue.put(good)
    assert await take(queue) == good
    queue.resume(BAD)
    assert await take(queue) == batch


async def test_the_share_of_parked_tables_is_bounded_and_others_have_the_rest(make_queue: Make) -> None:
    queue = await make_queue(ROOM)
    size, items = bad(0).size, 2

    def taken(table: str) -> bool:
        return queue.share_is_taken(TableName("public", table), size, items)

    await put(queue, *(bad(number) for number in range(8)))
    assert not taken("bad"), "nothing is parked"
    queue.park(BAD)
    assert taken("bad")
    assert not taken("good")
    for _ in range(8):
        queue.probe(BAD)
        await queue.ack(await take(queue))
    assert not taken("bad"), "without any batch one is taken"
    queue.resume(BAD)
    for table in ("one", "two", "three"):
        queue.park(TableName("public", table))
        for number in range(5):
            if not taken(table):
                await queue.put(bad(number, table))
    counts = [queue.waiting(TableName("public", table)).batches for table in ("one", "two", "three")]
    assert counts == [5, 5, 1], "a quarter each, half together, and one where there is none"
    assert queue.full is None
    await put(queue, *(bad(number, "good") for number in range(8)))
