"""Closing batches: nothing lost, nothing twice, no limit passed, no item older than it may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapy_batching.batching.lines import OpenBatches
from tests.scrapy_batching.make import batch, put

LINES = st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=30).map(lambda raw: raw.hex().encode())))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def gather(clock=None, **limits):
    return OpenBatches(**({"most_items": 5, "most_bytes": 100, "most_age": 5.0} | limits), clock=clock or Clock())


@given(LINES, st.integers(1, 6), st.integers(1, 80))
def test_every_line_leaves_once_in_order_and_within_the_limits(lines, most_items, most_bytes):
    batches = gather(most_items=most_items, most_bytes=most_bytes)
    closed = [one for table, line in lines for one in put(batches, table, line)]
    assert batches.items == len(lines) - sum(map(len, closed))
    closed += batches.close_all("close")
    assert batches.items == 0
    for name in "abc":
        came = [line for table, line in lines if table == name]
        assert [line for one in closed if one.table == name for line in one.lines] == came
    assert len({one.id for one in closed}) == len(closed)
    for one in closed:
        assert 1 <= len(one) <= most_items
        assert one.size == len(one.body()) <= most_bytes or len(one) == 1


@given(LINES, st.integers(1, 6), st.integers(1, 80))
def test_the_cause_says_which_limit_closed_a_batch(lines, most_items, most_bytes):
    batches = gather(most_items=most_items, most_bytes=most_bytes)
    for table, line in lines:
        for one in put(batches, table, line):
            if one.cause == "count":
                assert len(one) == most_items
            else:
                assert one.cause == "bytes"
                # Full, or so full that this line did not fit any more.
                assert one.size >= most_bytes or one.size + len(line) + 1 > most_bytes


def test_a_large_line_closes_what_was_there_and_itself():
    batches = gather(most_bytes=20)
    assert put(batches, "a", b"small") == ()
    first, second = put(batches, "a", b"x" * 50)
    assert (first.lines, second.lines) == ((b"small",), (b"x" * 50,))
    assert first.cause == second.cause == "bytes"


def test_age_is_counted_from_the_first_item_and_later_ones_do_not_renew_it():
    clock = Clock()
    batches = gather(clock)
    assert batches.due_in() is None
    put(batches, "a", b"1")
    clock.now += 4
    put(batches, "a", b"2")
    put(batches, "b", b"3")
    assert batches.due_in() == pytest.approx(1)
    assert batches.close_due() == ()
    clock.now += 1
    (batch,) = batches.close_due()
    assert (batch.lines, batch.cause, batch.first_at) == ((b"1", b"2"), "age", 100.0)
    assert batches.due_in() == pytest.approx(4)


def test_tables_do_not_share_a_batch():
    batches = gather(most_items=2)
    put(batches, "a", b"1")
    assert put(batches, "b", b"2") == ()
    (batch,) = put(batches, "a", b"3")
    assert (batch.table, batch.lines) == ("a", (b"1", b"3"))


@given(st.integers(2, 40))
def test_halves_hold_all_of_it_and_are_named_alike_each_time(count):
    whole = batch(count)
    left, right = whole.halves()
    assert left.lines + right.lines == whole.lines
    assert left.size + right.size == whole.size
    assert left.body() + right.body() == whole.body()
    assert (left, right) == whole.halves()
    assert len({whole.id, left.id, right.id}) == 3
    assert abs(len(left) - len(right)) <= 1


def test_a_single_item_has_no_halves():
    with pytest.raises(ValueError, match="single"):
        batch(1).halves()
