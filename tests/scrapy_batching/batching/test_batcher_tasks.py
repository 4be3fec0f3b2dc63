"""The Batcher under many tasks: an item is in one batch, a cancelled `add` loses nothing, `process` runs as often as it may."""

import asyncio

import pytest

from scrapy_batching import Batcher, BatcherClosed, BatchResult
from tests.scrapy_batching.batching.times import Gate, Time, doubled, turns


async def test_each_task_has_the_result_of_the_batch_that_it_filled():
    gate = Gate()
    async with Batcher(gate, batch_size=2, concurrency=None) as batcher:
        adding = [asyncio.create_task(batcher.add(n)) for n in range(6)]
        await turns()
        assert gate.calls == [[0, 1], [2, 3], [4, 5]]
        await gate.let(nth=2)
        await gate.let(nth=0)
        assert [one.done() for one in adding] == [True, True, True, False, True, True]
        await gate.let()
        results = [await one for one in adding]
        assert results[0::2] == [None, None, None]
        assert [one.successful for one in results[1::2]] == [[0, 2], [4, 6], [8, 10]]


async def test_the_items_of_one_add_batch_stay_together():
    gate = Gate()
    async with Batcher(gate, batch_size=3, concurrency=None) as batcher:
        adding = [asyncio.create_task(batcher.add_batch([n, n, n])) for n in range(4)]
        await turns()
        assert gate.calls == [[n, n, n] for n in range(4)]
        while await gate.let():
            pass
        assert [(await one)[0].successful for one in adding] == [[2 * n] * 3 for n in range(4)]


@pytest.mark.parametrize("concurrency", [1, 2, 3])
async def test_no_more_calls_than_may_be_and_in_their_order(concurrency):
    gate = Gate()
    async with Batcher(gate, batch_size=1, concurrency=concurrency) as batcher:
        adding = asyncio.create_task(batcher.add_batch(range(7)))
        await turns()
        while await gate.let():
            pass
        assert [one.successful[0] for one in await adding] == [2 * n for n in range(7)]
        assert (gate.most, gate.calls) == (concurrency, [[n] for n in range(7)])


async def test_a_cancelled_add_does_not_lose_its_batch():
    gate, told = Gate(), []
    async with Batcher(gate, batch_size=2, on_result=told.append) as batcher:
        await batcher.add(1)
        adding = asyncio.create_task(batcher.add(2))
        await turns()
        adding.cancel()
        await turns()
        assert adding.cancelled()
        assert batcher.in_flight_count == 2
        await gate.let()
        assert told == [BatchResult([2, 4], [])]


async def test_an_add_that_is_cancelled_when_its_batch_is_just_done_loses_nothing():
    told = []

    async def quick(items):
        # Done, and cancelled before whoever waits for it was woken.
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, adding.cancel)
        return [2 * item for item in items]

    for on_result in (None, told.append):
        batcher = Batcher(quick, batch_size=1, on_result=on_result)
        adding = asyncio.create_task(batcher.add(1))
        await turns()
        kept = batcher.collect() + told
        assert adding.cancelled() == (kept == [BatchResult([2], [])])
        assert adding.cancelled(), "the test no longer meets the moment that it is about"


async def test_a_cancelled_flush_leaves_its_results_to_the_next():
    gate = Gate()
    batcher = Batcher(gate, concurrency=None)
    await batcher.add(1)
    flushing = asyncio.create_task(batcher.flush())
    await turns()
    flushing.cancel()
    await turns()
    again = asyncio.create_task(batcher.flush())
    await turns()
    await gate.let()
    assert (await again).successful == [2]


async def test_a_cancelled_retry_and_a_cancelled_flush_that_waits_for_on_result_lose_nothing():
    gate, told = Gate(), []
    time = Time()
    batcher = Batcher(gate, concurrency=None, on_result=told.append, clock=time, later=time.later)
    await batcher.add(1)
    await time.advance(5)
    await batcher.add(2)
    flushing = asyncio.create_task(batcher.flush())
    retrying = asyncio.create_task(batcher.retry(BatchResult([], [(3, ValueError())])))
    await turns()
    flushing.cancel()
    retrying.cancel()
    await turns()
    while await gate.let():
        pass
    assert [one.successful for one in told] == [[2], [4], [6]]


async def test_a_batch_that_is_cancelled_itself_passes_that_on_and_keeps_its_items():
    gate = Gate()
    async with Batcher(gate, batch_size=2) as batcher:
        adding = asyncio.create_task(batcher.add_batch([1, 2, 3]))
        await turns()
        await gate.let("cancel")
        with pytest.raises(asyncio.CancelledError):
            await adding
        assert batcher.pending_items == (1, 2, 3)
        flushing = asyncio.create_task(batcher.flush())
        await turns()
        while await gate.let():
            pass
        assert (await flushing).successful == [2, 4, 6]
        assert gate.calls == [[1, 2], [1, 2], [3]]


async def test_leaving_passes_on_that_its_batch_was_cancelled_and_says_what_waits(caplog):
    gate = Gate()

    async def leave():
        async with batcher:
            await batcher.add(1)

    batcher = Batcher(gate)
    leaving = asyncio.create_task(leave())
    await turns()
    await gate.let("cancel")
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert batcher.pending_items == (1,)
    assert "holds 1 items when it was left: take them from pending_items" in caplog.text
    # And none wait any more when they are sent after all.
    batcher_flush = asyncio.create_task(batcher.flush())
    await turns()
    await gate.let()
    assert (await batcher_flush).successful == [2]


async def test_leaving_waits_for_other_tasks_batches_and_refuses_their_next_items():
    gate = Gate()
    batcher = Batcher(gate, batch_size=2)

    async def other():
        result = await batcher.add_batch([1, 2])
        with pytest.raises(BatcherClosed):
            await batcher.add(3)
        return result

    async with batcher:
        adding = asyncio.create_task(other())
        await turns()
        leaving = asyncio.create_task(batcher.__aexit__(None, None, None))
        await turns()
        assert not leaving.done()
        await gate.let()
        await leaving
        assert [one.successful for one in await adding] == [[2, 4]]


def test_a_loop_that_ends_by_force_leaves_every_item_in_pending_items(caplog):
    gate = Gate()
    batcher = Batcher(gate, batch_size=2)

    async def main():
        adding = asyncio.create_task(batcher.add_batch([1, 2, 3, 4, 5]))
        await turns()
        assert not adding.done()

    asyncio.run(main())
    assert sorted(batcher.pending_items) == [1, 2, 3, 4, 5]
    asyncio.run(Batcher(doubled).add_batch([]))


async def test_an_item_that_comes_while_a_batch_is_under_way_is_in_the_next():
    gate = Gate()
    async with Batcher(gate, batch_size=2, concurrency=None) as batcher:
        first = asyncio.create_task(batcher.add_batch([1, 2]))
        await turns()
        assert await batcher.add(3) is None
        second = asyncio.create_task(batcher.flush())
        await turns()
        assert gate.calls == [[1, 2], [3]]
        await gate.let()
        await gate.let()
        assert (await first)[0].successful == [2, 4]
        assert (await second).successful == [6]
