"""Names: unique, sorted by time, and readable by whoever gets them."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapy_batching.names import VISIBLE_ASCII, Uuid7, crawl_name, half_name, quote_part, snake_case, uuid7


@given(st.lists(st.integers(0, 2**58), min_size=1, max_size=50), st.binary(min_size=8, max_size=8))
def test_uuid7_sorts_in_the_order_of_making_whatever_the_clock_does(times, tail):
    clock = iter(times)
    make = Uuid7(clock=lambda: next(clock), chance=lambda _: tail)
    made = [make() for _ in times]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(one.version == 7 and one.variant == "specified in RFC 4122" for one in made)


def test_uuid7_carries_the_milliseconds_of_the_clock():
    made = Uuid7(clock=lambda: 1_645_557_742_000_000_000, chance=lambda _: b"\xff" * 8)()
    # RFC 9562, A.6: the same moment.
    assert made.hex[:12] == "017f22e279b0"
    assert made.int >> 76 & 0xF == 7


def test_two_calls_never_give_one_name():
    assert len({uuid7() for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("PropertyItem", "property_item"),
        ("HTTPResult", "http_result"),
        ("Item", "item"),
        ("A", "a"),
        ("ABTest", "ab_test"),
        ("ItemV2", "item_v2"),
        ("Item2Foo", "item2_foo"),
        ("already_snake", "already_snake"),
        ("With_Underscore", "with_underscore"),
        ("_Private", "_private"),
        ("Ünicode", "ünicode"),
    ],
)
def test_a_class_name_becomes_a_table_name(name, table):
    assert snake_case(name) == table
    assert snake_case(table) == table


@given(st.text(max_size=400))
def test_any_spider_name_makes_a_crawl_id_that_the_contract_takes(spider):
    name = crawl_name(spider)
    assert VISIBLE_ASCII.fullmatch(name)
    assert UUID(name[-36:]).version == 7
    assert not re.search(r"%(?![0-9A-F]{2})", name)


def test_crawls_of_one_spider_have_different_ids():
    assert crawl_name("books") != crawl_name("books")
    assert crawl_name("books").startswith("books-")


def test_a_half_has_the_same_name_each_time_and_no_other_range_has_it():
    parent = uuid7()
    assert half_name(parent, 0, 5) == half_name(parent, 0, 5)
    assert half_name(parent, 0, 5) != half_name(parent, 5, 10)
    assert half_name(parent, 0, 5).version == 5


@pytest.mark.parametrize(
    ("name", "part"), [("books", "books"), ("books.example", '"books.example"'), ('a"b', '"a""b"'), ("späße", "späße")]
)
def test_a_name_with_a_dot_is_quoted_or_it_would_be_a_schema(name, part):
    assert quote_part(name) == part
