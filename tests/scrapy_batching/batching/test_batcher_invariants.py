"""Whatever happens in whatever order: every item is in exactly one result, or still waits; no batch is too large."""

import asyncio
import itertools
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from scrapy_batching import Batcher
from tests.scrapy_batching.batching.times import Gate, Time, turns

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 4)),
        st.tuples(st.just("add_batch"), st.integers(0, 7)),
        st.tuples(st.just("flush"), st.none()),
        st.tuples(st.just("flush_if_needed"), st.none()),
        st.tuples(st.just("retry"), st.none()),
        st.tuples(st.just("collect"), st.none()),
        st.tuples(st.just("time"), st.sampled_from([0.5, 1.0, 2.5])),
        st.tuples(st.just("turn"), st.integers(0, 4)),
        st.tuples(st.just("cancel"), st.integers(0, 5)),
        st.tuples(
            st.just("let"),
            st.tuples(st.sampled_from(["good", "odd fail", "short", "cancel", "raise"]), st.integers(0, 3)),
        ),
    ),
    max_size=40,
)


def items_of(result):
    return [value // 2 for value in result.successful] + [item for item, _error in result.failed]


class Story:
    """A batcher, the tasks that use it, and what each of them was given."""

    def __init__(self, size, concurrency, *, has_callback):
        self.gate = Gate()
        self.time = Time()
        self.told = []
        self.given = []
        self.strangers = []
        self.tasks = []
        self.numbers = itertools.count()
        self.size = size
        self.concurrency = concurrency
        self.batcher = Batcher(
            self.gate,
            batch_size=size,
            max_wait_time=2.0,
            concurrency=concurrency,
            on_result=self.told.append if has_callback else None,
            clock=self.time,
            later=self.time.later,
        )

    async def take(self, asked):
        found = await asked
        results = found if isinstance(found, list) else [found]
        self.given += [one for one in results if one is not None]

    async def add(self, number):
        result = await self.batcher.add(number)
        if result is not None:
            self.given.append(result)
            self.strangers += [number] * (number not in items_of(result))

    async def retry(self, result):
        # Its failed items are taken out of what was given: they are in the new result, or wait.
        self.given.remove(result)
        self.given.append(type(result)(result.successful, []))
        await self.take(self.batcher.retry(result))

    async def step(self, what, how):
        batcher = self.batcher
        if what == "add":
            for _ in range(how):
                self.tasks.append(asyncio.create_task(self.add(next(self.numbers))))
        elif what == "add_batch":
            items = itertools.islice(self.numbers, how)
            self.tasks.append(asyncio.create_task(self.take(batcher.add_batch(items))))
        elif what in ("flush", "flush_if_needed"):
            self.tasks.append(asyncio.create_task(self.take(getattr(batcher, what)())))
        elif what == "retry":
            for result in [one for one in self.given if one.failed][:1]:
                # Not cancelled before it began: what it took out would be nobody's.
                self.tasks.append(asyncio.create_task(self.retry(result)))
                await turns(1)
        elif what == "collect":
            self.given += batcher.collect()
        elif what == "time":
            await self.time.advance(how)
        elif what == "turn":
            await turns(how)
        elif what == "let":
            await self.gate.let(*how)
        elif self.tasks:
            # One that had no turn took nothing yet, and its items are not the batcher's business.
            await turns(1)
            self.tasks[how % len(self.tasks)].cancel()

    async def end(self):
        await turns()
        leaving = asyncio.create_task(self.batcher.__aexit__(None, None, None))
        await turns()
        while await self.gate.let():
            pass
        await asyncio.gather(*self.tasks, return_exceptions=True)
        with suppress(asyncio.CancelledError):
            await leaving

    def check(self):
        results = [*self.given, *self.told, *self.batcher.collect()]
        items = [item for one in results for item in items_of(one)]
        assert sorted([*items, *self.batcher.pending_items]) == list(range(next(self.numbers)))
        assert self.batcher.pending_count == len(self.batcher.pending_items)
        assert self.batcher.in_flight_count == 0
        assert self.strangers == [], "add gave the result of a batch that its item was not in"
        assert all(1 <= len(call) <= self.size for call in self.gate.calls)
        assert self.concurrency is None or self.gate.most <= self.concurrency


@given(STEPS, st.integers(1, 4), st.sampled_from([1, 2, None]), st.booleans())
def test_every_item_is_in_one_result_or_waits(steps, size, concurrency, has_callback):
    async def tell():
        story = Story(size, concurrency, has_callback=has_callback)
        for what, how in steps:
            await story.step(what, how)
        await story.end()
        story.check()

    asyncio.run(tell())


@given(st.lists(st.one_of(st.integers(1, 9), st.just("flush"), st.just("time")), max_size=20), st.integers(1, 5))
def test_the_items_of_the_calls_are_the_items_in_their_order(steps, size):
    async def tell():
        story = Story(size, 1, has_callback=True)
        adding = []
        for step in steps:
            if step == "flush":
                adding.append(asyncio.create_task(story.batcher.flush()))
            elif step == "time":
                await story.time.advance(2.5)
            else:
                adding.append(asyncio.create_task(story.batcher.add_batch(itertools.islice(story.numbers, step))))
            await turns()
        await story.end()
        await asyncio.gather(*adding)
        assert [item for call in story.gate.calls for item in call] == list(range(next(story.numbers)))

    asyncio.run(tell())
