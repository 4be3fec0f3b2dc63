"""How many batches are on their way: what answers make of it, in a world with a clock of its own."""

import heapq
from itertools import count

import pytest

from scrapy_batching.delivery.pace import Pace


def test_it_begins_with_one_and_is_at_the_most_after_as_many_answers():
    pace, seen = Pace(4), []
    for _ in range(5):
        seen.append(pace.now)
        pace.begun(pace.now)
        pace.took(pace.now)
    assert seen == [1, 2, 3, 4, 4]
    assert pace.highest == 4


def test_trouble_halves_it_once_for_all_that_were_on_their_way():
    pace = Pace(16)
    for _ in range(15):
        pace.took(pace.now)
    rounds = [pace.begun(n) for n in range(1, 17)]
    for one in rounds:
        pace.slowed(one)
    assert pace.now == 8
    pace.slowed(pace.begun(8))
    assert pace.now == 4
    for _ in range(9):
        pace.slowed(pace.begun(1))
    assert pace.now == 1


def test_after_a_cut_it_grows_by_one_a_round():
    pace = Pace(16)
    for _ in range(15):
        pace.took(pace.now)
    pace.slowed(pace.begun(16))
    for _ in range(9):
        pace.took(8)
    assert pace.now == 9


def test_a_limit_that_nobody_reaches_is_not_raised():
    pace = Pace(16)
    pace.took(1)
    for _ in range(100):
        pace.took(1)
    assert pace.now == 2


def test_a_server_that_was_away_is_met_small_and_quickly_half_as_hard_as_before():
    pace = Pace(16)
    for _ in range(15):
        pace.took(pace.now)
    pace.restart()
    seen = []
    for _ in range(20):
        seen.append(pace.now)
        pace.took(pace.now)
    assert seen[:9] == [1, 2, 3, 4, 5, 6, 7, 8, 8]
    assert seen[-1] in (9, 10)


class World:
    """A server that does `workers` batches at a time, each in a second, has room for `room` more, and says 429 past that."""

    def __init__(self, pace, workers, room):
        self.pace, self.workers, self.room = pace, workers, room
        self.now = 0.0
        self.inside = self.done = self.refused = 0
        self.free_at = [0.0] * workers
        self.under_way = []
        self.order = count()
        self.samples = []

    def run(self, seconds):
        until = self.now + seconds
        while self.now < until:
            while len(self.under_way) < self.pace.now:
                self.send()
            at, _, is_taken, round_ = heapq.heappop(self.under_way)
            self.now = at
            under_way = len(self.under_way) + 1
            if is_taken:
                self.inside -= 1
                self.done += 1
                self.pace.took(under_way)
            else:
                self.refused += 1
                self.pace.slowed(round_)
            self.samples.append(self.pace.now)
        return self

    def send(self):
        round_ = self.pace.begun(len(self.under_way) + 1)
        if self.inside >= self.workers + self.room:
            entry = (self.now + 0.01, next(self.order), False, round_)
        else:
            self.inside += 1
            start = max(self.now, heapq.heappop(self.free_at))
            heapq.heappush(self.free_at, start + 1.0)
            entry = (start + 1.0, next(self.order), True, round_)
        heapq.heappush(self.under_way, entry)


@pytest.mark.parametrize(("workers", "room"), [(1, 1), (4, 4), (8, 2), (20, 20)])
def test_it_settles_at_what_the_server_can_do(workers, room):
    world = World(Pace(64), workers, room).run(300)
    assert world.done > 0.85 * 300 * workers, "as much as it can do"
    assert world.refused < 0.4 * world.done
    assert max(world.samples[len(world.samples) // 2 :]) <= workers + room + 1


def test_it_comes_back_when_the_server_can_do_more():
    world = World(Pace(32), 2, 2).run(200)
    world.workers, world.free_at = 24, [world.now] * 24
    before = world.done
    world.run(200)
    assert world.done - before > 0.6 * 200 * 24
