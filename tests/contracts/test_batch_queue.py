"""What every `BatchQueue` promises, its words in ingest_server/ports.py."""

import asyncio

import pytest

from ingest_server.errors import Overloaded
from ingest_server.model import Batch
from tests import make
from tests.contracts.queues import Make, take
from tests.journals import SECONDS, until


async def test_what_was_put_comes_out_in_order_and_is_counted_until_it_is_acknowledged(make_queue: Make) -> None:
    queue = await make_queue()
    batches = [make.batch({"a": number}, {"b": number}) for number in range(3)]
    for batch in batches:
        await queue.put(batch)
    size = sum(len(batch.body) for batch in batches)
    assert (queue.batches, queue.items, queue.bytes) == (3, 6, size)
    assert [await take(queue) for _ in batches] == batches
    assert (queue.batches, queue.items, queue.bytes) == (3, 6, size)
    for batch in batches:
        await queue.ack(batch)
    assert (queue.batches, queue.items, queue.bytes) == (0, 0, 0)


async def test_each_batch_goes_to_one_taker(make_queue: Make) -> None:
    queue = await make_queue()
    taken: list[Batch] = []

    async def taker() -> None:
        async for batch in queue:
            taken.append(batch)
            await queue.ack(batch)

    takers = [asyncio.create_task(taker()) for _ in range(4)]
    batches = [make.batch({"a": number}) for number in range(50)]
    for batch in batches:
        await queue.put(batch)
    async with asyncio.timeout(SECONDS):
        await queue.drain()
        await queue.close()
        await asyncio.gather(*takers)
    assert sorted(batch.id for batch in taken) == sorted(batch.id for batch in batches)


async def test_a_full_queue_refuses_and_keeps_nothing_of_what_it_refused(make_queue: Make) -> None:
    queue = await make_queue(room=1)
    assert queue.full is None
    await queue.put(make.batch({"a": 1}, {"a": 2}))
    assert queue.full
    with pytest.raises(Overloaded):
        await queue.put(make.batch({"a": 3}, {"a": 4}))
    assert (queue.batches, queue.items) == (1, 2)
    await queue.ack(await take(queue))
    assert queue.full is None
    await queue.put(make.batch({"a": 3}, {"a": 4}))


async def test_an_empty_queue_takes_any_one_batch(make_queue: Make) -> None:
    queue = await make_queue(room=0)
    assert queue.full is None
    await queue.put(make.batch({"a": 1}, {"a": 2}))
    with pytest.raises(Overloaded):
        await queue.put(make.batch({"a": 3}))


async def test_what_is_in_memory_is_counted_apart(make_queue: Make) -> None:
    queue = await make_queue()
    assert queue.held_bytes == 0
    batch = make.batch({"a": 1})
    await queue.put(batch)
    assert queue.held_bytes in (0, batch.size)
    assert (await take(queue)).body == batch.body
    assert queue.held_bytes == batch.size, "a worker has it"
    queue.set_aside(batch.head, 0.001)
    assert (await take(queue)).body == batch.body
    await queue.ack(batch.head)
    assert queue.held_bytes == 0


async def test_a_taker_has_the_batch_only_after_whoever_put_it_goes_on(make_queue: Make) -> None:
    queue = await make_queue()
    order: list[str] = []

    async def taker() -> None:
        await take(queue)
        order.append("taken")

    taking = asyncio.create_task(taker())
    await asyncio.sleep(0)
    await queue.put(make.batch({"a": 1}))
    order.append("put")
    await taking
    assert order == ["put", "taken"]


async def test_a_batch_set_aside_comes_again_and_is_counted_meanwhile(make_queue: Make) -> None:
    queue = await make_queue()
    batch = make.batch({"a": 1})
    await queue.put(batch)
    for _ in range(3):
        queue.set_aside(await take(queue), 0.001)
        assert queue.batches == 1
    assert await take(queue) == batch


async def test_a_batch_set_aside_does_not_hold_up_the_others(make_queue: Make) -> None:
    queue = await make_queue()
    for number in range(2):
        await queue.put(make.batch({"a": number}))
    queue.set_aside(await take(queue), 3600)
    await queue.ack(await take(queue))
    assert queue.batches == 1
    await queue.close()


async def test_draining_waits_for_the_last_acknowledgement(make_queue: Make) -> None:
    queue = await make_queue()
    await asyncio.wait_for(queue.drain(), SECONDS)
    await queue.put(make.batch({"a": 1}))
    draining = asyncio.create_task(queue.drain())
    batch = await take(queue)
    await asyncio.sleep(0)
    assert not draining.done()
    await queue.ack(batch)
    await asyncio.wait_for(draining, SECONDS)


async def test_closing_ends_every_iteration_and_refuses_what_comes_later(make_queue: Make) -> None:
    queue = await make_queue()

    async def taker() -> None:
        async for batch in queue:
            queue.set_aside(batch, 3600)

    takers = [asyncio.create_task(taker()) for _ in range(3)]
    await queue.put(make.batch({"a": 1}))
    await until(lambda: queue.set_aside_count)
    await queue.close()
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*takers)
    assert queue.batches == 1, "it stays unacknowledged"
    with pytest.raises(Overloaded):
        await queue.put(make.batch({"a": 2}))
