"""Pauses: exponential, jittered, bounded, and never shorter than the server asked for."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapy_batching.wire.backoff import full_jitter, pause_before, seconds_asked_for


def test_the_most_doubles_up_to_its_bound():
    asked = [pause_before(n, base=0.5, most=30, at_least=0, jitter=lambda most: most) for n in (1, 2, 3, 7, 5_000)]
    assert asked == [0.5, 1, 2, 30, 30]


def test_retry_after_is_a_minimum():
    assert pause_before(1, base=0.5, most=30, at_least=7, jitter=lambda most: most) == 7
    assert pause_before(9, base=0.5, most=30, at_least=7, jitter=lambda most: most) == 30


@given(st.floats(0, 1e6))
def test_jitter_is_full(most):
    assert 0 <= full_jitter(most) <= most


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("Fri, 02 Jan 2026 03:04:15 GMT", 10),
        ("Fri, 02 Jan 2026 03:04:15", 10),
        ("Fri, 02 Jan 2026 03:03:00 GMT", 0),
        ("999999999", 600),
        ("Fri, 02 Jan 99999999999999999999 03:04:15 GMT", 0),
        ("Fri, 02 Jan 2026 03:04:15 +99999999999999999999", 0),
        ("soon", 0),
        ("-3", 0),
        ("", 0),
        ("²", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(said, seconds):
    assert seconds_asked_for({"Retry-After": said}, lambda: NOW) == seconds


def test_no_retry_after_asks_for_nothing():
    assert seconds_asked_for({}) == 0
