"""What an operator is warned of: at which figure it begins and ends, once each in the log, and in the metrics."""

from pathlib import Path

import pytest
from prometheus_client import generate_latest

from ingest_server.telemetry import Telemetry
from tests import make
from tests.fakes import Clock, settled_of

WELL = {"queue": 0.0, "lag": 0.0, "errors": 0.0, "memory": 0.0}


def is_on(telemetry: Telemetry, name: str) -> bool:
    return f'ingest_warning{{warning="{name}"}} 1.0' in generate_latest(telemetry.registry).decode()


@pytest.mark.parametrize(
    ("name", "well", "over", "still_over", "over_again", "words"),
    [
        ("queue", 0.79, 0.8, 0.73, 0.71, "the queue is 80% full"),
        ("lag", 5.0, 5.1, 4.6, 4.4, "the oldest batch has been waiting for its commit for 5.1 s"),
        ("errors", 0.01, 0.011, 0.0095, 0.0089, "1.1% of the items of the last 5 minutes are dead letters"),
        ("memory", 0.8, 0.81, 0.73, 0.71, "resident memory is at 81% of its limit"),
    ],
)
def test_a_warning_begins_at_its_limit_and_ends_well_below_each_logged_once(
    name: str, well: float, over: float, still_over: float, over_again: float, words: str, caplog
) -> None:
    clock = Clock()
    telemetry = Telemetry(clock)
    telemetry.measured(**WELL | {name: well})
    assert not is_on(telemetry, name)
    assert telemetry.warnings == ()
    for value in (over, over, still_over, over):
        telemetry.measured(**WELL | {name: value})
        assert is_on(telemetry, name)
        assert len(telemetry.warnings) == 1
        clock.now += 1.0
    assert words in telemetry.warnings[0]
    assert [one.levelname for one in caplog.records] == ["WARNING"]
    assert caplog.records[0].getMessage().startswith(f"warning: {words}")
    telemetry.measured(**WELL | {name: over_again})
    telemetry.measured(**WELL | {name: over_again})
    assert not is_on(telemetry, name)
    assert telemetry.warnings == ()
    assert len(caplog.records) == 2
    assert caplog.records[1].getMessage().startswith(f"over after 4.0 s: {words}")
    assert {vars(one)["warning"] for one in caplog.records} == {name}


def test_each_warning_stands_for_itself() -> None:
    telemetry = Telemetry()
    telemetry.measured(queue=1.0, lag=9.0, errors=0.5, memory=0.9)
    assert len(telemetry.warnings) == 4
    telemetry.measured(queue=1.0, lag=0.0, errors=0.5, memory=0.9)
    assert len(telemetry.warnings) == 3
    assert not is_on(telemetry, "lag")
    assert is_on(telemetry, "errors")


def test_the_share_of_errors_forgets_after_five_minutes() -> None:
    clock = Clock()
    telemetry = Telemetry(clock)
    bad, good = make.batch({"a": 1}), make.batch(*({"a": 1} for _ in range(3)))
    telemetry.settled(bad, settled_of(bad, inserted=0, failed=1))
    clock.now += 200
    telemetry.settled(good, settled_of(good))
    assert telemetry.failed_share == 0.25
    clock.now += 101
    assert telemetry.failed_share == 0.0
    clock.now += 1000
    assert telemetry.failed_share == 0.0


def test_the_oldest_batch_is_known_until_it_is_settled_or_lost() -> None:
    clock = Clock()
    # the batches of these tests were made at NOON
    telemetry = Telemetry(clock, wall=lambda: make.NOON.timestamp() + 60.0)
    one, other, restored, gone = (make.batch({"a": 1}) for _ in range(4))
    assert telemetry.oldest_seconds == 0.0
    telemetry.accepted(one)
    clock.now += 2.0
    telemetry.accepted(other)
    clock.now += 1.0
    assert telemetry.oldest_seconds == 3.0
    telemetry.settled(one, settled_of(one))
    assert telemetry.oldest_seconds == 1.0
    telemetry.restored(restored)
    telemetry.restored(gone)
    assert telemetry.oldest_seconds == 60.0
    telemetry.settled(restored, settled_of(restored))
    assert telemetry.oldest_seconds == 60.0
    telemetry.lost(gone)
    assert telemetry.oldest_seconds == 1.0
    telemetry.settled(other, settled_of(other))
    assert telemetry.oldest_seconds == 0.0
    assert "ingest_accept_to_commit_seconds_count 3.0" in generate_latest(telemetry.registry).decode()


def test_a_lost_batch_does_not_count_as_waiting_for_ever(tmp_path: Path) -> None:
    telemetry = Telemetry()
    batch = make.batch({"a": 1})
    telemetry.accepted(batch)
    telemetry.journal_lost(batch, tmp_path, "gone")
    telemetry.lost(batch)
    assert telemetry.oldest_seconds == 0.0
