"""Isolation against a model: whatever rows are bad, and whatever the errors tell, exactly those are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_server.isolation import Attempt, Fault, isolate


class Table:
    """Takes rows until a bad one, and tells of it as it is told to."""

    def __init__(self, bad: set[int], *, hints: bool, limit: int | None = None) -> None:
        self.bad = bad
        self.hints = hints
        self.limit = limit
        self.written: list[int] = []
        self.attempts = 0
        self.sent = 0

    async def attempt(self, start: int, stop: int) -> Fault | None:
        self.attempts += 1
        self.sent += stop - start
        if self.limit is not None and stop - start > self.limit:
            return Fault(TimeoutError(), is_final=False)
        for row in range(start, stop):
            if row in self.bad:
                return Fault(ValueError(row), row - start if self.hints else None)
        self.written.extend(range(start, stop))
        return None


@given(
    total=st.integers(0, 200),
    bad=st.sets(st.integers(0, 199)),
    hints=st.booleans(),
    limit=st.none() | st.integers(1, 50),
)
async def test_exactly_the_bad_rows_are_refused_and_the_others_written_once(
    total: int, bad: set[int], hints: bool, limit: int | None
) -> None:
    bad = {row for row in bad if row < total}
    table = Table(bad, hints=hints, limit=limit)
    refused = await isolate(total, table.attempt)
    assert set(refused) == bad
    assert all(str(error) == str(row) for row, error in refused.items())
    assert table.written == [row for row in range(total) if row not in bad]


@pytest.mark.parametrize(
    ("bad", "hints", "most"),
    [
        (set(), True, 1),
        ({500}, True, 3),
        ({0}, True, 3),
        ({999}, True, 2),
        ({500}, False, 21),
        (set(range(10, 1000, 20)), True, 250),
        (set(range(0, 1000, 2)), True, 1500),
        (set(range(0, 1000, 2)), False, 2010),
        (set(range(1000)), True, 1010),
        (set(range(1000)), False, 1010),
    ],
    ids=str,
)
async def test_what_it_costs_of_a_thousand(bad: set[int], hints: bool, most: int) -> None:
    table = Table(bad, hints=hints)
    await isolate(1000, table.attempt)
    assert table.attempts <= most
    assert table.sent <= 12_000


async def test_a_row_that_only_met_a_bad_neighbour_is_written() -> None:
    """Row 3 names a parent that is missing, which shows at the end of the statement; row 5 has the same key as row 3."""
    written: set[int] = set()

    async def attempt(start: int, stop: int) -> Fault | None:
        rows = set(range(start, stop))
        if 5 in rows and (3 in rows or 3 in written):
            return Fault(ValueError("duplicate of 3"), 5 - start)
        if 3 in rows:
            return Fault(ValueError("no parent"))
        written.update(rows)
        return None

    refused = await isolate(8, attempt)
    assert set(refused) == {3}
    assert written == {0, 1, 2, 4, 5, 6, 7}


async def test_a_single_row_that_runs_into_a_limit_is_not_refused() -> None:
    async def attempt(start: int, stop: int) -> Fault | None:
        return Fault(TimeoutError("slow"), is_final=False) if start <= 2 < stop else None

    with pytest.raises(TimeoutError, match="slow"):
        await isolate(5, attempt)


async def test_a_hint_beyond_the_attempt_is_no_hint() -> None:
    table = Table({1}, hints=False)

    def misled(attempt: Attempt) -> Attempt:
        async def told(start: int, stop: int) -> Fault | None:
            fault = await attempt(start, stop)
            return None if fault is None else Fault(fault.error, 99)

        return told

    assert set(await isolate(4, misled(table.attempt))) == {1}


async def test_an_error_that_is_no_fault_ends_the_search() -> None:
    async def attempt(start: int, stop: int) -> Fault | None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await isolate(3, attempt)
