"""Which batch is the first that is not buried: exactly."""

import pytest

from ingest_server.model import Refusal
from ingest_server.names import uuid7
from ingest_server.parking.refusing import Window


def refusals(count: int, code: str = "23502", column: str | None = "price") -> list[Refusal]:
    return [Refusal(index, code, "says the test", column) for index in range(count)]


def name():
    return "", uuid7()


def buried(*batches: tuple[int, int]) -> int:
    """How many of these batches, each (items, refused), are buried before the first that is not."""
    window = Window()
    for number, (items, refused) in enumerate(batches):
        if window.add(name(), items, refusals(refused)) is not None:
            return number
    return len(batches)


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        ([(100, 100)] * 20, 9),  # the tenth makes 1,000
        ([(1, 1)] * 1200, 999),
        ([(5000, 5000)] * 5, 2),  # three batches at least, however large
        ([(500, 500)] * 5, 2),
        ([(100, 95)] * 20, 9),
        ([(100, 94)] * 50, 50),  # 94 % is not nearly all
        ([(100, 0)] * 30 + [(100, 100)] * 20, 39),  # 95 % of the newest 1,000: with 100 a batch, all ten of them
        ([(20, 0)] * 50 + [(20, 20)] * 60, 50 + 47),  # the 48th makes 960 of 1,000
        ([(100, 100)] * 9 + [(100, 0)] + [(100, 100)] * 20, 19),  # a good one among them begins it anew
        ([(100, 0)] * 100, 100),
        ([(334, 334), (333, 333), (333, 333)], 2),  # 1,000 exactly
        ([(333, 333), (333, 333), (333, 333)], 3),  # 999
    ],
)
def test_the_first_batch_that_is_not_buried(batches: list[tuple[int, int]], expected: int) -> None:
    assert buried(*batches) == expected


def test_one_code_and_one_column() -> None:
    window = Window()
    for _ in range(20):
        mixed = [*refusals(50), *refusals(50, column="title")]
        assert window.add(name(), 100, mixed) is None
    window = Window()
    for _ in range(20):
        assert window.add(name(), 100, [*refusals(50), *refusals(50, code="invalid")]) is None


def test_the_verdict_names_the_reason_and_its_batch_is_not_counted() -> None:
    window = Window()
    for _ in range(9):
        assert window.add(name(), 100, refusals(99)) is None
    for _ in range(3):
        verdict = window.add(name(), 100, refusals(97))
        assert (verdict.reason, verdict.refused, verdict.items) == (("23502", "price"), 9 * 99 + 97, 1000)
    assert window.add(name(), 100, ()) is None


def test_a_batch_that_comes_again_counts_once() -> None:
    """Its transaction failed after it was judged: an outage must not make ten batches of one."""
    window, one = Window(), name()
    for _ in range(50):
        assert window.add(one, 400, refusals(400)) is None
    assert window.add(name(), 400, refusals(400)) is None
    assert window.add(name(), 400, refusals(400)) is not None
