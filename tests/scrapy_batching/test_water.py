"""High and low water."""

import asyncio
import gc

from scrapy_batching.water import _BY_CRAWLER, Water


class Crawler:
    """Anything that can be forgotten."""


def test_without_limits_it_is_never_high():
    water = Water()
    for _ in range(1_000):
        water.rise(1_000_000)
    assert not water.is_high


def test_it_is_high_from_the_limit_on_until_half_of_it():
    water = Water()
    water.limit(10, 1_000)
    for _ in range(9):
        water.rise(1)
    assert not water.is_high
    water.rise(1)
    assert water.is_high
    water.fall(4, 4)
    assert water.is_high
    water.fall(1, 1)
    assert not water.is_high


def test_bytes_count_like_items():
    water = Water()
    water.limit(1_000, 100)
    water.rise(100)
    assert water.is_high
    water.rise(1)
    water.fall(1, 50)
    assert water.is_high
    water.fall(1, 51)
    assert not water.is_high


def test_low_water_is_a_share_of_high_water():
    water = Water()
    water.limit(10, 1_000, low=0.9)
    assert [water.rise(1) for _ in range(11)] == [False] * 9 + [True, False], "it becomes high once"
    water.fall(1, 1)
    assert water.is_high
    water.fall(1, 1)
    assert not water.is_high


def test_what_had_to_stay_in_memory_has_a_limit_of_its_own():
    water = Water()
    water.limit(1_000, 10_000, low=0.5)
    water.limit_memory(2, 1_000)
    for _ in range(2):
        water.rise_in_memory(1)
        risen = water.rise(1)
    assert risen
    assert water.is_full
    water.fall(1, 1, in_memory=True)
    assert not water.is_high


def test_a_water_that_does_not_hold_is_full_all_the_same():
    water = Water()
    water.limit(1, 1_000, holds=False)
    assert water.rise(1)
    assert (water.is_high, water.is_full) == (False, True)


def test_what_is_parked_counts_on_and_by_itself_sticks():
    water = Water()
    water.limit(10, 1_000, low=0.5)
    water.limit_memory(3, 1_000)
    for _ in range(10):
        water.rise(1)
    water.park(5, 5)
    assert (water.is_high, water.is_stuck, water.moving, water.parked) == (True, False, 5, (5, 5))
    water.fall(4, 4)
    water.park(1, 1)
    assert (water.is_high, water.is_stuck) == (True, True), "six of at most five that low water has"


def test_below_high_water_nothing_sticks():
    water = Water()
    water.limit(10, 1_000, low=0.5)
    for _ in range(9):
        water.rise(1)
    water.park(9, 9)
    assert not water.is_stuck
    water.rise(1)
    assert water.is_stuck


def test_what_was_in_memory_and_is_parked_is_on_disk():
    water = Water()
    water.limit(10, 1_000, low=0.5)
    water.limit_memory(2, 1_000)
    for _ in range(2):
        water.rise_in_memory(1)
        water.rise(1)
    assert water.is_high
    water.park(2, 2, in_memory=True)
    assert not water.is_high


async def test_all_who_wait_go_on_together_and_their_time_counts_once():
    now = 10.0
    water = Water(clock=lambda: now)
    water.limit(2, 1_000)
    water.rise(1)
    water.rise(1)
    waiting = [asyncio.create_task(water.low()) for _ in range(3)]
    await asyncio.sleep(0)
    now = 14.0
    assert water.waited_seconds == 4
    water.fall(1, 1)
    await asyncio.gather(*waiting)
    now = 20.0
    assert water.waited_seconds == 4


async def test_release_lets_go_of_those_who_wait_in_high_water():
    water = Water()
    water.limit(1, 1)
    water.rise(1)
    waiting = asyncio.create_task(water.low())
    await asyncio.sleep(0)
    water.release()
    await waiting


def test_each_crawl_has_its_own_and_takes_it_along_when_it_goes():
    one, other = Crawler(), Crawler()
    assert Water.of(one) is Water.of(one)
    assert Water.of(one) is not Water.of(other)
    gc.collect()
    before = len(_BY_CRAWLER)
    del one
    gc.collect()
    assert len(_BY_CRAWLER) == before - 1
