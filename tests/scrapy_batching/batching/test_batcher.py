"""The public Batcher: what a single task sees of it."""

import asyncio
import logging

import pytest

from scrapy_batching import Batcher, BatcherClosed, BatchResult, BatchSizeMismatch, ItemCancelled, LoopGone
from tests.scrapy_batching.batching.times import Gate, Time, doubled, turns


async def test_the_item_that_fills_a_batch_has_its_result():
    async with Batcher(doubled, batch_size=3) as batcher:
        assert await batcher.add(1) is None
        assert await batcher.add(2) is None
        assert (batcher.pending_count, batcher.pending_items) == (2, (1, 2))
        assert await batcher.add(3) == BatchResult([2, 4, 6], [])
        assert (batcher.pending_count, batcher.pending_items) == (0, ())


async def test_add_batch_gives_the_results_of_the_batches_that_it_filled():
    async with Batcher(doubled, batch_size=50) as batcher:
        results = await batcher.add_batch(range(120))
        assert [one.total_items for one in results] == [50, 50]
        assert batcher.pending_count == 20
        rest = await batcher.flush()
        assert rest is not None
        assert [one for result in [*results, rest] for one in result.successful] == [2 * n for n in range(120)]
        assert await batcher.flush() is None


async def test_what_the_items_raise_loses_none_of_those_before():
    gate = Gate()

    def items():
        yield from range(5)
        raise KeyError("the page ended")

    async with Batcher(gate, batch_size=2) as batcher:
        with pytest.raises(KeyError):
            await batcher.add_batch(items())
        await turns()
        assert batcher.in_flight_count == 4
        while await gate.let():
            pass
        assert [one.successful for one in batcher.collect()] == [[0, 2], [4, 6]]
        assert batcher.pending_items == (4,)
        flushing = asyncio.create_task(batcher.flush())
        await turns()
        await gate.let()
        assert (await flushing).successful == [8]


async def test_a_function_that_is_not_async_will_do():
    async with Batcher(lambda items: [item.upper() for item in items], batch_size=2) as batcher:
        await batcher.add("a")
        assert (await batcher.add("b")).successful == ["A", "B"]


async def test_what_process_does_to_its_list_changes_nothing():
    async def greedy(items):
        items.clear()
        return [1, ValueError("two"), 3]

    batcher = Batcher(greedy, batch_size=3)
    (result,) = await batcher.add_batch([1, 2, 3])
    assert (result.successful, [item for item, _ in result.failed]) == ([1, 3], [2])


async def test_process_that_raises_fails_every_item_with_that():
    error = OSError("away")

    async def away(items):
        raise error

    (result,) = await Batcher(away, batch_size=2).add_batch([1, 2])
    assert result == BatchResult([], [(1, error), (2, error)])
    assert (result.total_items, result.success_count, result.failure_count, result.success_rate) == (2, 0, 2, 0.0)


async def test_an_exception_in_its_place_fails_its_item_alone():
    async def one(item):
        if item == 2:
            raise ValueError(item)
        if item == 3:
            raise asyncio.CancelledError
        return -item

    async def each(items):
        return await asyncio.gather(*map(one, items), return_exceptions=True)

    (result,) = await Batcher(each, batch_size=4).add_batch([1, 2, 3, 4])
    assert result.successful == [-1, -4]
    assert [(item, type(error)) for item, error in result.failed] == [(2, ValueError), (3, ItemCancelled)]
    assert isinstance(result.failed[1][1].__cause__, asyncio.CancelledError)
    assert result.success_rate == 0.5


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        ([1], 1),
        ([1, 2, 3], 3),
        ([], 0),
        (None, "NoneType"),
        ("ab", "str"),
        ({1: 2, 3: 4}, "dict"),
        (iter([1, 2]), "list_iterator"),
    ],
)
async def test_an_answer_that_does_not_fit_fails_every_item_and_says_how(answer, got):
    (result,) = await Batcher(lambda items: answer, batch_size=2).add_batch(["a", "b"])
    assert result.successful == []
    assert [item for item, _ in result.failed] == ["a", "b"]
    for _item, error in result.failed:
        assert isinstance(error, BatchSizeMismatch)
        assert (error.expected, error.got) == (2, got)
        assert f"was given 2 items and returned {got}" in str(error)


async def test_retry_gives_the_failed_ones_in_batches_of_their_own():
    calls = []

    async def moody(items):
        calls.append(items)
        return [ValueError(item) if item % 2 and len(calls) < 3 else item for item in items]

    async with Batcher(moody, batch_size=4) as batcher:
        results = await batcher.add_batch(range(8))
        await batcher.add(100)
        whole = BatchResult([], [one for result in results for one in result.failed] + [(9, ValueError())])
        again = await batcher.retry(whole)
        assert calls[2:] == [[1, 3, 5, 7], [9]]
        assert again == BatchResult([1, 3, 5, 7, 9], [])
        assert batcher.pending_items == (100,)
        assert await batcher.retry(again) == BatchResult([], [])
        assert len(calls) == 4


def test_a_result_without_items_has_no_failures():
    assert BatchResult[int]().success_rate == 1.0


async def test_leaving_sends_what_waits_and_waits_for_it():
    told = []
    async with Batcher(doubled, on_result=told.append) as batcher:
        await batcher.add(1)
    assert told == [BatchResult([2], [])]
    with pytest.raises(BatcherClosed, match="async with"):
        await batcher.add(2)
    async with batcher:
        assert await batcher.add_batch([2, 3]) == []
    assert [one.successful for one in told] == [[2], [4, 6]]


async def test_leaving_by_an_exception_sends_what_waits_too():
    batcher = Batcher(doubled)

    async def leave():
        async with batcher:
            await batcher.add(1)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await leave()
    assert batcher.collect() == [BatchResult([2], [])]
    assert batcher.collect() == []


async def test_what_nobody_took_at_the_end_is_said_where_it_failed(caplog):
    async def away(items):
        raise OSError("away")

    async with Batcher(away) as batcher:
        await batcher.add(1)
    assert "1 of 1 items" in caplog.text
    assert "OSError('away')" in caplog.text
    assert "collect()" in caplog.text
    ((item, error),) = batcher.collect()[0].failed
    assert (item, str(error)) == (1, "away")


async def test_results_that_pile_up_are_said(caplog):
    async with Batcher(doubled) as batcher:
        for n in range(1000):
            async with batcher:
                await batcher.add(n)
    assert caplog.text.count("results wait in memory") == 1
    assert len(batcher.collect()) == 1000


def test_no_loop_is_needed_to_make_one_and_another_loop_is_refused():
    async def add(batcher, item):
        return await batcher.add(item)

    batcher = Batcher(doubled, auto_flush=False)
    assert asyncio.run(add(batcher, 1)) is None
    for use in (
        batcher.add(2),
        batcher.flush(),
        batcher.flush_if_needed(),
        batcher.retry(BatchResult()),
        batcher.add_batch([2]),
    ):
        with pytest.raises(LoopGone, match="1 items wait in it: make a Batcher for each loop"):
            asyncio.run(use)
    assert batcher.pending_items == (1,)

    async def finish():
        async with Batcher(doubled) as another:
            await another.add_batch(batcher.pending_items)
            return await another.flush()

    assert asyncio.run(finish()).successful == [2]


def test_one_that_is_let_go_of_with_items_says_so(caplog):
    batcher = Batcher(doubled, auto_flush=False)
    asyncio.run(batcher.add_batch([1, 2, 3]))
    batcher.__del__()
    assert caplog.records[0].levelno == logging.ERROR
    assert "3 items" in caplog.text


async def test_without_auto_flush_age_counts_only_where_it_is_asked_for():
    time = Time()
    batcher = Batcher(doubled, batch_size=3, max_wait_time=5, auto_flush=False, clock=time, later=time.later)
    await batcher.add(1)
    assert time.set == 0
    await time.advance(4.9)
    assert await batcher.flush_if_needed() is None
    await time.advance(0.1)
    assert batcher.pending_count == 1
    assert await batcher.flush_if_needed() == BatchResult([2], [])
    # A full batch goes by itself all the same: no batch is larger than it may be.
    (full,) = await batcher.add_batch([1, 2, 3, 4])
    assert full.successful == [2, 4, 6]
    assert (await batcher.flush()).successful == [8]
