import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.measure import Outcome, percentile, ratios, spread

FIGURES = st.lists(st.floats(min_value=1e-9, max_value=1e9), min_size=1, max_size=50)
SHARES = st.floats(min_value=0, max_value=1)


@given(FIGURES, SHARES, SHARES)
def test_a_percentile_lies_among_the_values_and_grows_with_its_share(values, one, other):
    low, high = sorted((one, other))
    assert min(values) <= percentile(values, low) <= percentile(values, high) <= max(values)


@given(FIGURES)
def test_the_ends_are_the_least_and_the_greatest_and_the_middle_is_the_median(values):
    assert percentile(values, 0) == min(values)
    assert percentile(values, 1) == max(values)
    assert percentile(values, 0.5) == pytest.approx(statistics.median(values))


@given(FIGURES, SHARES, st.randoms())
def test_a_percentile_does_not_ask_in_which_order_the_values_came(values, share, chance):
    shuffled = list(values)
    chance.shuffle(shuffled)
    assert percentile(shuffled, share) == percentile(values, share)


def test_percentiles_lie_on_a_straight_line_between_the_nearest_values():
    assert percentile([10, 20, 30, 40, 50], 0.1) == pytest.approx(14)
    assert percentile([10, 20], 0.99) == pytest.approx(19.9)


def test_there_is_no_percentile_of_nothing():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@given(FIGURES)
def test_a_spread_is_in_order(values):
    found = spread(values)
    assert found.p10 <= found.median <= found.p90


@given(st.lists(st.tuples(*[st.floats(min_value=1, max_value=1e6)] * 2), min_size=1, max_size=20))
def test_ratios_are_taken_round_by_round(rounds):
    ours, ceiling = zip(*rounds, strict=True)
    each = [mine / theirs for mine, theirs in rounds]
    assert ratios(ours, ceiling) == spread(each)
    assert min(each) <= ratios(ours, ceiling).median <= max(each)


@given(FIGURES, st.floats(min_value=0.01, max_value=100))
def test_a_machine_that_is_slower_by_a_factor_in_a_round_changes_no_ratio(values, factor):
    found = ratios([value * factor for value in values], values)
    assert found.p10 == pytest.approx(factor)
    assert found.p90 == pytest.approx(factor)


def test_sides_with_different_rounds_are_refused():
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0, 2.0], [1.0])


def test_the_rate_is_items_over_seconds():
    assert Outcome(seconds=0.5, latencies=(), items=100).items_per_second == 200
