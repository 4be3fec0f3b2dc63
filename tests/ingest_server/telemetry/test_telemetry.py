"""One call per fact: counted, and logged where somebody should see it."""

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from prometheus_client import generate_latest

from ingest_server.model import BuriedItem, Parked, Refusal
from ingest_server.telemetry import Telemetry
from tests import make
from tests.fakes import Clock, settled_of


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def telemetry(clock: Clock) -> Telemetry:
    return Telemetry(clock)


def figures(telemetry: Telemetry) -> str:
    return generate_latest(telemetry.registry).decode()


def test_a_batch_is_counted_from_accept_to_commit(telemetry: Telemetry, clock: Clock) -> None:
    batch = make.batch({"a": 1}, {"a": 2}, table="own.things")
    telemetry.accepted(batch)
    clock.now = 3.0
    with telemetry.delivering(batch):
        assert "ingest_workers_busy 1.0" in figures(telemetry)
        clock.now = 4.0
    telemetry.settled(batch, settled_of(batch, inserted=1, failed=1))
    text = figures(telemetry)
    for line in (
        'ingest_batches_accepted_total{table="own.things"} 1.0',
        'ingest_items_accepted_total{table="own.things"} 2.0',
        f"ingest_bytes_accepted_total {float(len(batch.body))}",
        'ingest_items_settled_total{outcome="inserted",table="own.things"} 1.0',
        'ingest_items_settled_total{outcome="failed",table="own.things"} 1.0',
        "ingest_accept_to_commit_seconds_sum 4.0",
        "ingest_delivery_seconds_sum 1.0",
        "ingest_workers_busy 0.0",
    ):
        assert line in text
    assert telemetry.settled_counts("") == {batch.table: {"inserted": 1, "updated": 0, "unchanged": 0, "failed": 1}}


def test_dead_letters_are_told_of_by_reason_and_never_by_content(telemetry: Telemetry, caplog) -> None:
    batch = make.batch({"a": "secret"})
    refusal = Refusal(0, "23505", "violates a unique constraint", "a", detail="Key (a)=(secret) already exists.")
    errors = (BuriedItem(refusal, uuid4(), make.NOON),)
    telemetry.settled(batch, settled_of(batch, inserted=0, failed=1, errors=errors))
    assert "1 of 1 items are dead letters, the first: 23505 a violates a unique constraint" in caplog.text
    assert "secret" not in caplog.text


def test_an_outage_is_told_of_once_with_its_length(telemetry: Telemetry, clock: Clock, caplog) -> None:
    caplog.set_level("INFO")
    assert not telemetry.sink_is_away
    for _ in range(5):
        telemetry.outage("connection refused")
        clock.now += 1.5
    assert telemetry.sink_is_away
    assert "ingest_sink_up 0.0" in figures(telemetry)
    telemetry.reachable()
    telemetry.reachable()
    assert not telemetry.sink_is_away
    assert "ingest_sink_errors_total 5.0" in figures(telemetry)
    assert caplog.text.count("PostgreSQL is away") == 1
    assert [one.levelname for one in caplog.records if "is back after 7.5 s" in one.getMessage()] == ["INFO"]


@pytest.mark.parametrize(
    ("cause", "remedy"),
    [("configuration", "goes on by itself once a try passes"), ("refused", "ingest-server tables resume things")],
)
def test_a_parked_table_is_told_of_with_the_way_out(telemetry: Telemetry, caplog, cause, remedy: str) -> None:
    caplog.set_level("INFO")
    table = make.batch({}).table
    telemetry.parked(Parked(table, make.NOON, cause, "42501", None, "no privilege"))
    assert [one.levelname for one in caplog.records if remedy in one.getMessage()] == ["ERROR"]
    assert telemetry.wrong_tables[table].reason == "no privilege"
    assert 'ingest_table_parked{table="things"} 1.0' in figures(telemetry)
    assert f'ingest_tables_parked_total{{cause="{cause}",table="things"}} 1.0' in figures(telemetry)
    telemetry.settled(make.batch({}), settled_of(make.batch({})))
    assert table in telemetry.wrong_tables, "a batch that was on its way says nothing"
    telemetry.went_on(table, 3, "resume was said")
    assert table not in telemetry.wrong_tables
    assert 'ingest_table_parked{table="things"} 0.0' in figures(telemetry)
    assert "table things goes on with 3 batches: resume was said" in caplog.text


def test_a_damaged_journal_is_told_of_in_exact_words(telemetry: Telemetry, caplog) -> None:
    told = {
        (0, 0, False): "nothing in it can be read",
        (1, 2, True): "1 batch was rescued from it, 2 rows could not be read",
        (9, 1, False): "9 batches were rescued from it, 1 row could not be read; pages of it are broken,",
        (None, 1, True): "1 row of it could not be read, the others are settled",
        (None, 0, False): "it could not be written any more",
    }
    for (rescued, unreadable, is_exact), words in told.items():
        caplog.clear()
        telemetry.journal_damaged(Path("kept"), rescued, unreadable, is_exact=is_exact)
        assert f"a damaged journal is kept as kept: {words}" in caplog.text


def test_overload_is_counted_always_and_logged_now_and_then(telemetry: Telemetry, clock: Clock, caplog) -> None:
    caplog.set_level("WARNING")
    for _ in range(100):
        telemetry.request_refused(503, "the queue is full")
    for status in (401, 403, 429) * 2:
        telemetry.request_refused(status, "who it was")
    telemetry.request_refused(400, "a mistake of the client")
    assert caplog.text.count("the queue is full") == 1
    assert "mistake" not in caplog.text
    assert caplog.text.count("who it was") == 3, "once for each kind"
    assert 'ingest_requests_refused_total{status="503"} 100.0' in figures(telemetry)
    clock.now += 10
    telemetry.request_refused(503, "the queue is full")
    assert caplog.text.count("the queue is full") == 2


def test_servers_in_one_process_count_for_themselves() -> None:
    one, other = Telemetry(), Telemetry(schema="own")
    batch = make.batch({}, table="own.things")
    one.accepted(batch)
    other.accepted(replace(batch, id=uuid4()))
    assert 'table="own.things"} 1.0' in figures(one)
    assert 'table="things"} 1.0' in figures(other)


def test_a_gauge_is_read_when_somebody_asks(telemetry: Telemetry) -> None:
    values = iter([1.0, 2.0])
    telemetry.watch("ingest_watched", "Something", lambda: next(values))
    assert "ingest_watched 1.0" in figures(telemetry)
    assert "ingest_watched 2.0" in figures(telemetry)
