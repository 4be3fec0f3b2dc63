"""Who is let in, with clock and chance in the test's hands."""

from types import SimpleNamespace

import pytest

from ingest_server.admission import Admission, DrainRate, Memory, check_size
from ingest_server.errors import Overloaded, TooLarge
from ingest_server.ports import Tally
from tests.fakes import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue() -> SimpleNamespace:
    return SimpleNamespace(batches=0, bytes=0, held_bytes=0, full=None, parked=Tally())


@pytest.fixture
def rate(clock: Clock) -> DrainRate:
    return DrainRate(clock)


@pytest.fixture
def memory() -> SimpleNamespace:
    return SimpleNamespace(resident=0, limit=100)


@pytest.fixture
def admission(queue, rate, memory) -> Admission:
    return Admission(queue, rate, memory, max_bytes=1000, chance=lambda _low, high: high)


def test_the_drain_rate_counts_only_the_time_in_which_somebody_worked(clock: Clock, rate: DrainRate) -> None:
    assert rate.bytes_per_second == 0
    clock.now += 2
    rate.drained(1000, since=clock.now - 2)
    clock.now += 20  # nothing to do
    assert rate.bytes_per_second == 500
    clock.now += 2
    rate.drained(3000, since=clock.now - 2)
    assert rate.bytes_per_second == 1000
    clock.now += 29
    assert rate.bytes_per_second == 1500  # the first is more than 30 seconds ago
    clock.now += 2
    assert rate.bytes_per_second == 0


def test_workers_side_by_side_share_their_time(clock: Clock, rate: DrainRate) -> None:
    began = clock.now
    clock.now += 1
    for _ in range(4):
        rate.drained(100, since=began)
    assert rate.bytes_per_second == 400


def test_the_drain_rate_forgets_although_nobody_asks_for_it():
    now = [0.0]
    rate = DrainRate(lambda: now[0])
    for _ in range(1000):
        now[0] += 1
        rate.drained(10, since=now[0] - 1)
    assert rate.remembered < 40
    assert rate.bytes_per_second == 10


def test_retry_after_is_what_waits_by_how_fast_it_drains(admission, queue, rate, clock) -> None:
    queue.bytes = 5000
    assert admission.retry_after() == 5  # nothing is known yet
    clock.now += 1
    rate.drained(250, since=clock.now - 1)
    assert admission.retry_after() == 20
    queue.bytes, queue.parked = 6000, Tally(bytes=1000)
    assert admission.retry_after() == 20, "a parked table's batches are not what keeps others waiting"
    queue.bytes, queue.parked = 10**9, Tally()
    assert admission.retry_after() == 60
    queue.bytes = 0
    assert admission.retry_after() == 1


def test_chance_spreads_retry_after_over_its_second_half(queue, rate, memory) -> None:
    asked = []
    admission = Admission(queue, rate, memory, max_bytes=1, chance=lambda *bounds: asked.append(bounds) or 0.5)
    assert admission.retry_after() == 3
    assert asked == [(0.5, 1.0)]


def test_a_full_queue_refuses_and_short_memory_only_while_something_waits(admission, queue, memory) -> None:
    queue.full = "the disk is full"
    with pytest.raises(Overloaded, match="the disk is full"):
        admission.enter(None)
    assert admission.reason_to_refuse() == "the disk is full"
    vars(queue).update(full=None, batches=1, bytes=1)
    memory.resident = 101
    with pytest.raises(Overloaded, match="memory is short") as refused:
        admission.enter(None)
    assert refused.value.retry_after == 5
    queue.batches = 0
    admission.enter(None)


def test_what_waits_on_disk_takes_no_room_in_memory(admission, queue) -> None:
    vars(queue).update(batches=1, bytes=10**9, held_bytes=400)
    admission.enter(600)
    with pytest.raises(Overloaded, match="no room"):
        admission.enter(601)


def test_bytes_are_accounted_as_they_arrive(admission, queue) -> None:
    vars(queue).update(batches=1, bytes=400, held_bytes=400)
    one, other = admission.enter(None), admission.enter(300)
    one.take(300)
    other.take(300)
    assert admission.receiving_bytes == 600
    with pytest.raises(Overloaded, match="no room"):
        one.take(1)
    with pytest.raises(Overloaded, match="no room"):
        admission.enter(1)
    other.give_back()
    one.take(300)
    one.give_back()
    one.give_back()
    assert admission.receiving_bytes == 0


def test_an_empty_server_admits_one_batch_of_any_size(admission) -> None:
    room = admission.enter(5000)
    room.take(5000)
    with pytest.raises(Overloaded):
        admission.enter(1)
    room.take(5000)


def test_a_server_that_is_shutting_down_lets_nobody_in(admission) -> None:
    admission.check_open()
    admission.close()
    for ask in (admission.check_open, lambda: admission.enter(None)):
        with pytest.raises(Overloaded, match="shutting down"):
            ask()


def test_memory_is_looked_at_now_and_then(clock: Clock) -> None:
    memory = Memory(clock, limit=5)
    seen = memory.resident
    assert seen > 2**20
    memory._process = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=7))
    assert memory.resident == seen
    clock.now += 0.25
    assert memory.resident == 7


def test_a_size_above_the_limit_names_it() -> None:
    check_size(5, 5, "items")
    with pytest.raises(TooLarge) as refused:
        check_size(6, 5, "decoded_bytes")
    assert (refused.value.limit, refused.value.limit_unit) == (5, "decoded_bytes")
    assert "decoded bytes" in refused.value.detail
