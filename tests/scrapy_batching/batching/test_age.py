"""The one timer: never spins, and goes on after a defect."""

from scrapy_batching.batching.age import LEAST_SECONDS, AgeTimer
from tests.scrapy_batching.batching.times import Time


class Watched:
    """A timer over dues that the test writes down."""

    def __init__(self, *dues):
        self.dues = list(dues)
        self.looks = 0
        self.errors = []
        self.asked = []
        self.fails = False
        self.time = Time()
        self.timer = AgeTimer(
            due_in=lambda: self.dues[0] if self.dues else None,
            close_due=self._close,
            defect=self.errors.append,
            later=self._later,
        )

    def _later(self, seconds, look):
        self.asked.append(seconds)
        return self.time.later(seconds, look)

    def _close(self):
        self.looks += 1
        if self.fails:
            raise OSError("disk")
        self.dues.pop(0)


async def test_it_looks_once_for_each_due_and_rests_when_nothing_waits():
    watched = Watched(2.0, 3.0)
    watched.timer.set()
    watched.timer.set()
    assert watched.asked == [2.0]
    await watched.time.advance(5)
    assert (watched.looks, watched.asked, watched.timer.handle) == (2, [2.0, 3.0], None)
    watched.timer.set()
    assert watched.timer.handle is None


async def test_it_never_spins_where_the_clock_stands_still_or_is_past():
    watched = Watched(0.0, -7.0, 0.0)
    watched.timer.set()
    await watched.time.advance(1)
    assert watched.asked == [LEAST_SECONDS] * 3


async def test_a_defect_is_told_and_does_not_stop_it():
    watched = Watched(1.0)
    watched.fails = True
    watched.timer.set()
    await watched.time.advance(2.5)
    assert (watched.looks, [str(error) for error in watched.errors]) == (2, ["disk", "disk"])
    watched.fails = False
    await watched.time.advance(1)
    assert (watched.looks, watched.dues, watched.timer.handle) == (3, [], None)


async def test_at_rest_nothing_comes_of_age_until_it_is_set_again():
    watched = Watched(1.0)
    watched.timer.set()
    watched.timer.rest()
    watched.timer.rest()
    await watched.time.advance(9)
    assert (watched.looks, watched.time.set) == (0, 0)
    watched.timer.set()
    await watched.time.advance(1)
    assert watched.looks == 1
