"""Counts, stats and log lines."""

import logging

import pytest

from scrapy_batching.errors import ItemNotEncodable
from tests.scrapy_batching.make import batch, telemetry


def test_every_stat_is_there_from_the_first_time_on():
    """A dashboard, or the balance, must not have to guess whether a missing one is a zero."""
    facts, stats = telemetry()
    facts.publish(1.23456)
    for name in ("enqueued", "delivered", "rejected", "spooled", "dropped", "altered"):
        assert stats[f"items/{name}"] == 0
    for cause in ("count", "bytes", "age", "idle", "close"):
        assert stats[f"flush/{cause}"] == 0
    assert stats["retries"] == 0
    assert stats["backpressure_seconds"] == 1.235


def test_a_closed_batch_counts_its_cause_and_its_bytes():
    facts, stats = telemetry()
    facts.closed(batch(3))
    facts.closed(batch(3))
    facts.publish(0)
    assert (stats["batches/closed"], stats["flush/count"], stats["bytes/raw"]) == (2, 2, 48)


def test_the_server_going_and_coming_is_one_line_each(caplog):
    facts, stats = telemetry()
    with caplog.at_level(logging.INFO):
        for _ in range(50):
            facts.unavailable("answer 503")
        for _ in range(5):
            facts.available()
        facts.unavailable("answer 503")
    assert [one.levelname for one in caplog.records] == ["WARNING", "INFO", "WARNING"]
    facts.publish(0)
    assert stats["retries"] == 51


def test_an_altered_item_is_told_once_for_each_class(caplog):
    facts, stats = telemetry()
    for name in ("A", "A", "B", "A"):
        facts.altered(name)
    facts.publish(0)
    assert stats["items/altered"] == 4
    assert len(caplog.records) == 2


def test_a_rejected_item_is_an_error_with_its_class(caplog):
    facts, _ = telemetry()
    facts.rejected(ItemNotEncodable("Book", "price", "builtins.object"))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "Book cannot be written as JSON: builtins.object at price" in record.getMessage()


@pytest.mark.parametrize(("missing", "levels"), [(0, []), (3, [logging.ERROR]), (-3, [logging.WARNING])])
def test_the_summary_is_one_line_and_missing_items_are_an_error(caplog, missing, levels):
    facts, stats = telemetry()
    facts.enqueued = 5
    with caplog.at_level(logging.INFO):
        facts.summary("c-1", "finished", {"inserted": 5, "missing": missing, "batches": 1})
    infos = [one.getMessage() for one in caplog.records if one.levelno == logging.INFO]
    assert len(infos) == 1
    assert "crawl c-1 (finished): 5 items taken" in infos[0]
    assert infos[0].endswith(f"server: 5 inserted · {missing} missing")
    assert [one.levelno for one in caplog.records if one.levelno > logging.INFO] == levels
    assert stats["server/missing"] == missing
