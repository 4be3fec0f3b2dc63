"""Rates: the average holds whatever the batches are like, and a large batch goes through too."""

import pytest

from ingest_server.tokens.grant import Grant
from ingest_server.tokens.rates import Budget, Budgets
from tests.fakes import Clock


def test_without_rates_nobody_waits() -> None:
    budget = Budget(None, None, Clock(100.0))
    budget.take(10**9, 10**12)
    assert budget.seconds == 0


def test_a_second_s_worth_may_come_at_once_and_the_next_waits() -> None:
    clock = Clock(100.0)
    budget = Budget(100, None, clock)
    budget.take(100, 0)
    assert budget.seconds == 0, "nothing is owed"
    budget.take(50, 0)
    assert budget.seconds == pytest.approx(0.5)
    clock.now += 0.5
    assert budget.seconds == 0


def test_a_batch_above_the_rate_goes_through_and_is_paid_for_afterwards() -> None:
    clock = Clock(100.0)
    budget = Budget(10, None, clock)
    assert budget.seconds == 0
    budget.take(1000, 0)
    assert budget.seconds == pytest.approx(99)
    clock.now += 98
    assert budget.seconds == pytest.approx(1)
    clock.now += 1
    assert budget.seconds == 0


def test_idle_time_is_saved_up_for_a_second_only() -> None:
    clock = Clock(100.0)
    budget = Budget(10, None, clock)
    clock.now += 3600
    budget.take(20, 0)
    assert budget.seconds == pytest.approx(1)


@pytest.mark.parametrize("size", [1, 7, 100, 2500])
def test_the_average_is_the_rate_whatever_the_size_of_the_batches(size: int) -> None:
    clock = Clock(100.0)
    budget = Budget(100, None, clock)
    taken = 0
    while clock.now < 100 + 1000:
        wait = budget.seconds
        if wait:
            clock.now += wait + 1e-9
            continue
        budget.take(size, 0)
        taken += size
    assert taken == pytest.approx(100 * 1000, rel=0.03)


def test_bytes_count_beside_items_and_the_slower_one_decides() -> None:
    clock = Clock(100.0)
    budget = Budget(100, 1000, clock)
    budget.take(1, 5000)
    assert budget.seconds == pytest.approx(4)
    budget.take(1000, 1)
    assert budget.seconds == pytest.approx(9.01)


def test_what_was_not_kept_is_given_back() -> None:
    budget = Budget(10, 10, Clock(100.0))
    budget.take(50, 50)
    budget.take(-50, -50)
    assert budget.seconds == 0
    budget.take(11, 0)
    assert budget.seconds == pytest.approx(0.1), "and no more than that"


def test_an_owner_has_one_budget_until_its_rates_change() -> None:
    budgets = Budgets(Clock(100.0))
    slow = Grant("a", items_per_second=1.0)
    assert budgets.of(slow) is budgets.of(Grant("a", items_per_second=1.0))
    assert budgets.of(slow) is not budgets.of(Grant("b", items_per_second=1.0))
    budgets.of(slow).take(1000, 0)
    assert budgets.of(Grant("a", items_per_second=2.0)).seconds == 0
