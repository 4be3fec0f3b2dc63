"""One breaker for all that is sent: when it opens, who finds out, when, and who is told."""

import asyncio
from types import SimpleNamespace

import pytest

from scrapy_batching.wire.answers import TryAgain
from scrapy_batching.wire.breaker import Breaker
from tests.scrapy_batching.wire.client_bench import Notes

AWAY = TryAgain("connection refused")


class Bench:
    def __init__(self, jitter=lambda most: most):
        self.now = 0.0
        self.notes = Notes()
        self.breaker = Breaker(self.notes, base=1.0, most=8.0, clock=lambda: self.now, jitter=jitter)
        self.changes = []
        self.breaker.hears(lambda: self.changes.append(self.breaker.is_open))

    def fail(self, why=AWAY):
        self.breaker.failed(self.breaker.begin(), why)


def test_it_opens_with_the_first_failure_of_all_and_tells_once():
    bench = Bench()
    tries = [bench.breaker.begin() for _ in range(4)]
    for one in tries:
        bench.breaker.failed(one, AWAY)
    assert bench.breaker.is_open
    assert bench.breaker.away_since == 0.0
    assert bench.changes == [True]
    assert bench.notes.told == [False]


def test_a_failure_while_others_are_taken_is_that_batch_s_own_trouble():
    bench = Bench()
    slow, quick = bench.breaker.begin(), bench.breaker.begin()
    bench.breaker.took(quick)
    bench.breaker.failed(slow, AWAY)
    assert not bench.breaker.is_open
    assert bench.changes == []


def test_one_probe_at_a_time_and_later_each_time():
    bench, waited = Bench(), []
    bench.fail()
    for _ in range(6):
        waited.append(bench.breaker.next_at - bench.now)
        assert not bench.breaker.allows()
        bench.now = bench.breaker.next_at
        assert bench.breaker.allows()
        probe = bench.breaker.begin()
        assert not bench.breaker.allows(), "a second one has to wait for the first"
        bench.breaker.failed(probe, AWAY)
    assert waited == [1, 2, 4, 8, 8, 8]


def test_the_pauses_are_jittered_fully_and_never_below_what_the_server_asked_for():
    asked = []
    bench = Bench(jitter=lambda most: asked.append(most) or 0.0)
    bench.fail(TryAgain("full", 5.0))
    assert bench.breaker.next_at == 5.0
    bench.now = 5.0
    bench.fail()
    assert bench.breaker.next_at == 5.0
    assert asked == [1.0, 2.0]


def test_what_is_taken_closes_it_at_once_and_its_pauses_begin_anew():
    bench = Bench()
    early = bench.breaker.begin()
    bench.fail()
    bench.breaker.took(early)
    assert not bench.breaker.is_open
    assert bench.changes == [True, False]
    assert bench.notes.taken == 1
    bench.fail()
    assert bench.breaker.next_at == 1.0


def test_a_probe_that_is_cut_off_leaves_the_way_free_for_another():
    bench = Bench()
    bench.fail()
    bench.now = 1.0
    probe = bench.breaker.begin()
    bench.breaker.abandoned(probe)
    assert bench.breaker.allows()
    assert bench.breaker.is_open
    bench.breaker.abandoned(probe)
    other = bench.breaker.begin()
    bench.breaker.abandoned(probe)
    assert not bench.breaker.allows(), "that one was not its own"
    bench.breaker.took(other)


def test_what_fails_late_may_still_ask_for_more_time():
    bench = Bench()
    late = bench.breaker.begin()
    bench.fail()
    bench.breaker.failed(late, TryAgain("full", 60.0))
    assert bench.breaker.next_at == 60.0
    assert bench.notes.told == [False]


async def test_whoever_waits_for_a_turn_goes_on_when_a_probe_was_taken_and_not_before():
    bench = Bench()
    bench.fail()
    forever = SimpleNamespace(pauses=[], both=asyncio.Event())

    async def pause(seconds):
        forever.pauses.append(seconds)
        if len(forever.pauses) == 2:
            forever.both.set()
        await asyncio.Event().wait()

    waiting = [asyncio.create_task(bench.breaker.turn(pause, behind=behind)) for behind in (0.0, 3.0)]
    await forever.both.wait()
    assert forever.pauses == [1.0, 4.0]
    bench.now = 2.0
    probe = bench.breaker.begin()
    assert not any(one.done() for one in waiting)
    bench.breaker.took(probe)
    await asyncio.gather(*waiting)


async def test_a_turn_that_is_cancelled_holds_nothing():
    bench = Bench()
    bench.fail()

    async def pause(_seconds):
        await asyncio.Event().wait()

    waiting = asyncio.create_task(bench.breaker.turn(pause))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    bench.now = 1.0
    assert bench.breaker.allows()
