"""The public Batcher, used wrongly: told at once, and never by hanging."""

import asyncio
import math

import pytest

from scrapy_batching import Batcher, BatchResult
from tests.scrapy_batching.batching.times import doubled, turns

USES = {
    "add": lambda batcher: batcher.add(9),
    "add_batch": lambda batcher: batcher.add_batch([8, 9]),
    "flush": lambda batcher: batcher.flush(),
    "flush_if_needed": lambda batcher: batcher.flush_if_needed(),
    "retry": lambda batcher: batcher.retry(BatchResult([], [(9, ValueError())])),
    "async with": lambda batcher: batcher.__aenter__(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("in_task", [False, True], ids=["itself", "a task"])
async def test_process_that_uses_its_own_batcher_is_told_and_does_not_hang(use, in_task):
    async def process(items):
        await (asyncio.create_task(use(batcher)) if in_task else use(batcher))
        return items

    batcher = Batcher(process, batch_size=1)
    result = await asyncio.wait_for(batcher.add(1), 5)
    ((item, error),) = result.failed
    assert (item, type(error)) == (1, RuntimeError)
    assert "process must not add to its own batcher" in str(error)
    assert batcher.pending_count == 0


async def test_a_way_round_by_another_batcher_is_seen_too():
    async def outer(items):
        result = await inner_one.add(items[0])
        return [error for _item, error in result.failed]

    async def inner(items):
        await outer_one.add(items[0])
        return items

    outer_one, inner_one = Batcher(outer, batch_size=1), Batcher(inner, batch_size=1)
    result = await asyncio.wait_for(outer_one.add(1), 5)
    assert "its own batcher" in str(result.failed[0][1])


async def test_another_batcher_and_what_comes_after_the_call_are_welcome():
    later = []

    async def ask(items):
        if not later:
            later.append(asyncio.create_task(after()))
        return (await other.add(items[0])).successful

    async def after():
        await is_over.wait()
        return await batcher.add(2)

    is_over = asyncio.Event()
    batcher, other = Batcher(ask, batch_size=1), Batcher(doubled, batch_size=1)
    assert (await batcher.add(1)).successful == [2]
    is_over.set()
    await turns()
    assert (await later[0]).successful == [4]


@pytest.mark.parametrize(
    ("wrong", "kind", "said"),
    [
        ({"process": None}, TypeError, "process = None: write a function"),
        ({"batch_size": 0}, ValueError, "batch_size = 0: write at least 1"),
        ({"batch_size": 2.5}, TypeError, "batch_size = 2.5: write a whole number"),
        ({"batch_size": True}, TypeError, "batch_size = True: write a whole number"),
        ({"batch_size": "5"}, TypeError, "batch_size = '5': write a whole number"),
        ({"max_wait_time": 0}, ValueError, "max_wait_time = 0: write more than 0 seconds"),
        ({"max_wait_time": math.nan}, ValueError, "max_wait_time = nan: write more than 0 seconds"),
        ({"max_wait_time": math.inf}, ValueError, "max_wait_time = inf: .* auto_flush=False"),
        ({"max_wait_time": None}, TypeError, "max_wait_time = None: .* auto_flush=False"),
        ({"max_wait_time": True}, TypeError, "max_wait_time = True: write a number of seconds"),
        ({"auto_flush": "no"}, TypeError, "auto_flush = 'no': write True or False"),
        ({"concurrency": 0}, ValueError, "concurrency = 0: write at least 1, or None"),
        ({"concurrency": 1.5}, TypeError, "concurrency = 1.5: write a whole number, or None"),
        ({"concurrency": False}, TypeError, "concurrency = False: write a whole number, or None"),
        ({"on_result": 5}, TypeError, "on_result = 5: write a function"),
    ],
    ids=str,
)
def test_an_argument_that_cannot_be_is_refused_by_its_name(wrong, kind, said):
    with pytest.raises(kind, match=said):
        Batcher(**({"process": doubled} | wrong))


@pytest.mark.parametrize("word", ["word", b"word", bytearray(b"word")])
async def test_one_text_is_no_list_of_items(word):
    batcher = Batcher(doubled, auto_flush=False)
    with pytest.raises(TypeError, match=rf"one {type(word).__name__}: write add\(item\)"):
        await batcher.add_batch(word)
    assert batcher.pending_count == 0


async def test_what_is_no_result_is_not_sent_again():
    with pytest.raises(TypeError, match="result is of type str: write a BatchResult"):
        await Batcher(doubled).retry("x")
