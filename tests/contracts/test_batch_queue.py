"""What every `BatchQueue` promises, its words in ingest_server/ports.py."""

import asyncio
from collections.abc import Callable

import pytest

from ingest_server.errors import Overloaded
from ingest_server.model import Batch
from ingest_server.ports import BatchQueue
from ingest_server.queues.memory import MemoryQueue
from tests import make

SECONDS = 10
Make = Callable[..., BatchQueue]


@pytest.fixture(params=[MemoryQueue])
def make_queue(request: pytest.FixtureRequest) -> Make:
    return lambda max_items=1000, max_bytes=10_000: request.param(max_items=max_items, max_bytes=max_bytes)


async def take(queue: BatchQueue) -> Batch:
    async with asyncio.timeout(SECONDS):
        return await anext(aiter(queue))


async def test_what_was_put_comes_out_in_order_and_is_counted_until_it_is_acknowledged(make_queue: Make) -> None:
    queue = make_queue()
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
    queue = make_queue()
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


@pytest.mark.parametrize("bounds", [{"max_items": 3}, {"max_bytes": 20}])
async def test_a_full_queue_refuses_and_keeps_nothing_of_what_it_refused(
    make_queue: Make, bounds: dict[str, int]
) -> None:
    queue = make_queue(**bounds)
    await queue.put(make.batch({"a": 1}, {"a": 2}))
    with pytest.raises(Overloaded):
        await queue.put(make.batch({"a": 3}, {"a": 4}))
    assert (queue.batches, queue.items) == (1, 2)
    await queue.ack(await take(queue))
    await queue.put(make.batch({"a": 3}, {"a": 4}))


async def test_an_empty_queue_takes_any_one_batch(make_queue: Make) -> None:
    queue = make_queue(max_items=1, max_bytes=1)
    await queue.put(make.batch({"a": 1}, {"a": 2}))
    with pytest.raises(Overloaded):
        await queue.put(make.batch({"a": 3}))


async def test_a_batch_set_aside_comes_again_and_is_counted_meanwhile(make_queue: Make) -> None:
    queue = make_queue()
    batch = make.batch({"a": 1})
    await queue.put(batch)
    for _ in range(3):
        queue.set_aside(await take(queue), 0.001)
        assert queue.batches == 1
    assert await take(queue) == batch


async def test_a_batch_set_aside_does_not_hold_up_the_others(make_queue: Make) -> None:
    queue = make_queue()
    for number in range(2):
        await queue.put(make.batch({"a": number}))
    queue.set_aside(await take(queue), 3600)
    await queue.ack(await take(queue))
    assert queue.batches == 1
    await queue.close()


async def test_draining_waits_for_the_last_acknowledgement(make_queue: Make) -> None:
    queue = make_queue()
    await asyncio.wait_for(queue.drain(), SECONDS)
    await queue.put(make.batch({"a": 1}))
    draining = asyncio.create_task(queue.drain())
    batch = await take(queue)
    await asyncio.sleep(0)
    assert not draining.done()
    await queue.ack(batch)
    await asyncio.wait_for(draining, SECONDS)


async def test_closing_ends_every_iteration_and_refuses_what_comes_later(make_queue: Make) -> None:
    queue = make_queue()

    async def taker() -> None:
        async for batch in queue:
            queue.set_aside(batch, 3600)

    takers = [asyncio.create_task(taker()) for _ in range(3)]
    await queue.put(make.batch({"a": 1}))
    await asyncio.sleep(0)
    await queue.close()
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*takers)
    assert queue.batches == 1, "it stays unacknowledged"
    with pytest.raises(Overloaded):
        await queue.put(make.batch({"a": 2}))
