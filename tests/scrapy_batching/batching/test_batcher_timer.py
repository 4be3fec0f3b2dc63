"""The Batcher's own timer: nobody writes the loop, and nothing that it does is lost."""

import asyncio

from scrapy_batching import Batcher, BatchResult
from tests.scrapy_batching.batching.times import Gate, Time, doubled, turns


def timed(process, **how):
    time = Time()
    return time, Batcher(process, **({"max_wait_time": 5.0} | how), clock=time, later=time.later)


async def test_the_timer_counts_from_the_first_item():
    told = []
    time, batcher = timed(doubled, on_result=told.append)
    await batcher.add(1)
    await time.advance(4)
    await batcher.add(2)
    await time.advance(0.9)
    assert told == []
    await time.advance(0.2)
    assert told == [BatchResult([2, 4], [])]
    assert (batcher.pending_count, time.set) == (0, 0)
    await batcher.add(3)
    await time.advance(5.1)
    assert told[1:] == [BatchResult([6], [])]


async def test_a_batch_that_began_after_a_full_one_has_its_whole_time():
    told = []
    time, batcher = timed(doubled, batch_size=2, on_result=told.append)
    await batcher.add(1)
    await time.advance(4)
    await batcher.add_batch([2, 3])
    await time.advance(2)
    assert told == []
    await time.advance(3)
    assert told == [BatchResult([6], [])]


async def test_the_timers_result_is_kept_for_the_next_flush():
    time, batcher = timed(doubled)
    await batcher.add(1)
    await time.advance(6)
    await batcher.add(2)
    assert await batcher.flush() == BatchResult([2, 4], [])
    assert await batcher.flush() is None


async def test_flush_waits_for_what_the_timer_sent():
    gate = Gate()
    time, batcher = timed(gate, concurrency=None)
    await batcher.add(1)
    await time.advance(6)
    await batcher.add(2)
    flushing = asyncio.create_task(batcher.flush())
    await turns()
    assert (gate.calls, batcher.in_flight_count) == ([[1], [2]], 2)
    await gate.let(nth=1)
    assert not flushing.done()
    await gate.let()
    assert (await flushing).successful == [2, 4]


async def test_flush_returns_when_on_result_was_told():
    gate, told = Gate(), []

    async def tell(result):
        await turns(3)
        told.extend(result.successful)

    time, batcher = timed(gate, concurrency=None, on_result=tell)
    await batcher.add(1)
    await time.advance(6)
    flushing = asyncio.create_task(batcher.flush())
    await turns()
    assert not flushing.done()
    await gate.let()
    assert await flushing is None
    assert told == [2]


async def test_what_fails_at_the_timer_is_told(caplog):
    told = []

    async def away(items):
        raise OSError("away")

    time, batcher = timed(away, on_result=told.append)
    await batcher.add(1)
    await time.advance(6)
    assert [(item, str(error)) for item, error in told[0].failed] == [(1, "away")]
    time, batcher = timed(away)
    await batcher.add(2)
    await time.advance(6)
    assert "1 of 1 items of a batch that nobody waited for failed" in caplog.text
    assert [item for item, _ in batcher.collect()[0].failed] == [2]


async def test_a_result_that_on_result_fails_with_is_kept(caplog):
    async def full(result):
        raise OSError("disk full")

    time, batcher = timed(doubled, on_result=full)
    await batcher.add(1)
    await time.advance(6)
    assert "on_result failed" in caplog.text
    assert batcher.collect() == [BatchResult([2], [])]


async def test_the_loops_own_timer_does_it_too():
    told = asyncio.get_running_loop().create_future()
    async with Batcher(doubled, max_wait_time=0.01, on_result=told.set_result) as batcher:
        await batcher.add(1)
        assert (await told).successful == [2]


async def test_items_of_a_batch_that_was_cancelled_go_again_with_the_timer():
    gate, told = Gate(), []
    time, batcher = timed(gate, on_result=told.append)
    await batcher.add(1)
    await time.advance(5)
    await gate.let("cancel")
    assert (batcher.pending_items, batcher.in_flight_count, told) == ((1,), 0, [])
    await batcher.add(2)
    assert batcher.pending_items == (1, 2)
    await time.advance(4.9)
    assert gate.calls == [[1]]
    await time.advance(0.1)
    await gate.let()
    await gate.let()
    assert gate.calls == [[1], [1], [2]]
    assert [one.successful for one in told] == [[2], [4]]


async def test_items_of_a_cancelled_batch_set_the_timer_by_themselves():
    gate, told = Gate(), []
    time, batcher = timed(gate, on_result=told.append)
    await batcher.add(1)
    await time.advance(5)
    assert time.set == 0
    await gate.let("cancel")
    await time.advance(5)
    await gate.let()
    assert [one.successful for one in told] == [[2]]


async def test_on_result_may_retry_and_flush():
    gate, told = Gate(), []

    async def tell(result):
        again = await batcher.retry(result)
        told.append((again.successful, await batcher.flush()))

    time, batcher = timed(gate, on_result=tell)
    await batcher.add(1)
    await time.advance(5)
    await batcher.add(2)
    await gate.let("odd fail")
    await gate.let()
    await gate.let()
    assert gate.calls == [[1], [1], [2]]
    assert told == [([2], BatchResult([4], []))]
    assert batcher.in_flight_count == 0


async def test_leaving_leaves_no_timer_behind():
    time, batcher = timed(doubled)
    async with batcher:
        await batcher.add(1)
        assert time.set == 1
    assert time.set == 0


def test_a_loop_that_ends_while_on_result_works_leaves_the_result():
    async def slow(result):
        await asyncio.get_running_loop().create_future()

    time, batcher = timed(doubled, on_result=slow)

    async def main():
        await batcher.add(1)
        await time.advance(5)

    asyncio.run(main())
    assert batcher.collect() == [BatchResult([2], [])]


async def test_a_defect_of_the_timer_is_said_and_the_next_batch_goes(caplog, monkeypatch):
    told = []
    time, batcher = timed(doubled, on_result=told.append)
    await batcher.add(1)
    with monkeypatch.context() as broken:
        broken.setattr(batcher._open, "close_due", lambda: 1 / 0)
        await time.advance(5.001)
    assert "ZeroDivisionError" in caplog.text
    await time.advance(0.1)
    assert told == [BatchResult([2], [])]
