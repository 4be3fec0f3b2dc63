"""Whose turn it is: tables in turn, each with its own troubles, whatever the number of tables."""

import time

from scrapy_batching.delivery.lanes import Lanes, Waiting
from tests.scrapy_batching.make import batch


def waiting(table="a", put_at=0.0, **more):
    return Waiting(batch(1, table), put_at, **more)


def lanes_of(*tables):
    lanes = Lanes()
    for table in tables:
        lanes.put(waiting(table))
    return lanes


def taken(lanes, now=0.0, most=99):
    found = []
    while len(found) < most and (one := lanes.take(now)) is not None:
        found.append(one)
    return found


def tables(ones):
    return "".join(one.batch.table for one in ones)


def test_tables_take_turns_and_a_table_s_own_are_in_order():
    lanes = lanes_of(*"aaabbc")
    found = taken(lanes)
    assert tables(found) == "abcaba"
    assert lanes.take(0.0) is None


def test_a_table_that_takes_nothing_waits_with_one_probe_and_the_others_go_on():
    lanes = lanes_of(*"aaab")
    one, two = lanes.take(0.0), lanes.take(0.0)
    assert tables([one, two]) == "ab"
    lanes.ended(one)
    assert lanes.trouble(one) == 1
    assert lanes.rest(one, 0.0, 5.0)
    lanes.put(waiting("b"))
    assert tables(taken(lanes)) == "b"
    assert lanes.due_at() == 5.0
    assert taken(lanes, 4.9) == []
    assert taken(lanes, 5.0) == [one], "one finds out how it does, the one at the head"
    lanes.ended(one)
    assert lanes.works(one)
    assert tables(taken(lanes, 5.0)) == "aa"


def test_several_that_come_back_at_once_are_one_trouble():
    lanes = lanes_of(*"aaa")
    ones = taken(lanes)
    for one in ones:
        lanes.ended(one)
    assert [lanes.trouble(one) for one in ones] == [1, None, None]
    lanes.rest(ones[0], 0.0, 1.0)
    for one in ones[1:]:
        lanes.back(one)
    assert taken(lanes, 0.5) == []
    (probe,) = taken(lanes, 1.0)
    lanes.ended(probe)
    assert lanes.trouble(probe) == 2
    assert not lanes.rest(probe, 1.0, 2.0), "that was known"


def test_a_batch_with_trouble_of_its_own_holds_up_nobody():
    lanes = lanes_of(*"aa")
    one = lanes.take(0.0)
    lanes.ended(one)
    lanes.aside(one, 7.0)
    (other,) = taken(lanes)
    assert other is not one
    assert lanes.due_at() == 7.0
    assert taken(lanes, 7.0) == [one]


def test_one_that_always_fails_is_not_the_only_one_that_is_tried():
    """Else a server that comes back would never be found back, with that one as the only probe."""
    lanes = lanes_of(*"aaa")
    seen = []
    for _ in range(6):
        one = lanes.take(0.0)
        seen.append(one)
        lanes.ended(one)
        lanes.back(one)
    assert len({id(one) for one in seen}) >= 3


def test_what_was_tried_for_too_long_is_taken_out_and_the_rest_has_its_time():
    lanes = Lanes()
    early, late, other = waiting("a", 0.0), waiting("a", 6.0), waiting("b", 0.0)
    for one in (early, late, other):
        lanes.put(one)
    assert lanes.tried_so_long(100.0, 10.0, None) == ([], None), "nobody was tried, and nothing is wrong"
    one = lanes.take(0.0)
    one.first_try_at = 1.0
    lanes.ended(one)
    lanes.trouble(one)
    lanes.rest(one, 2.0, 60.0)
    assert lanes.tried_so_long(10.9, 10.0, None) == ([], 11.0)
    assert lanes.tried_so_long(11.0, 10.0, None) == ([early], 16.0)
    assert lanes.tried_so_long(16.0, 10.0, None) == ([late], None)
    assert lanes.tried_so_long(30.0, 10.0, 25.0) == ([], 35.0)
    assert lanes.tried_so_long(35.0, 10.0, 25.0) == ([other], None)


def test_those_aside_have_their_deadline_too():
    lanes = lanes_of("a")
    one = lanes.take(0.0)
    one.first_try_at = 0.0
    lanes.ended(one)
    lanes.aside(one, 600.0)
    assert lanes.tried_so_long(10.0, 10.0, None) == ([one], None)
    assert lanes.due_at() is None


def cost(count, each):
    """Seconds to send `each` batches of `count` tables, of which the last one alone may send."""
    lanes = Lanes()
    for number in range(count):
        table = str(number)
        lanes.put(waiting(table))
        one = lanes.take(0.0)
        lanes.ended(one)
        lanes.trouble(one)
        lanes.rest(one, 0.0, 1e9)
    began = time.perf_counter()
    for _ in range(each):
        lanes.put(waiting("free"))
        one = lanes.take(1.0)
        lanes.ended(one)
        lanes.works(one)
    return time.perf_counter() - began


def test_two_hundred_tables_in_trouble_cost_the_one_that_is_not_nothing():
    few, many = (min(cost(count, 2_000) for _ in range(3)) for count in (2, 400))
    assert many < 5 * few
