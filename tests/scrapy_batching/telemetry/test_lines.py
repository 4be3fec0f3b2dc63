"""Counts, stats and log lines."""

import logging
from pathlib import Path

from scrapy_batching.errors import ItemNotEncodable, SpoolFailed
from scrapy_batching.leftovers.telemetry import LeftoverTelemetry
from scrapy_batching.telemetry.counts import FATES
from tests.scrapy_batching.make import batch, telemetry


def test_every_stat_is_there_from_the_first_time_on():
    """A dashboard, or the balance, must not have to guess whether a missing one is a zero."""
    facts, stats = telemetry()
    facts.watch(pending=lambda: 0, waited_seconds=lambda: 1.23456, recovered=lambda: (0, 0))
    facts.publish()
    for name in ("enqueued", *FATES, "recovered", "altered", "filtered"):
        assert stats[f"items/{name}"] == 0
    for cause in ("count", "bytes", "age", "idle", "close"):
        assert stats[f"flush/{cause}"] == 0
    assert stats["retries"] == 0
    assert stats["backpressure_seconds"] == 1.235


def test_a_closed_batch_counts_its_cause_and_its_bytes():
    facts, stats = telemetry()
    facts.closed(batch(3))
    facts.closed(batch(3))
    facts.publish()
    assert (stats["batches/closed"], stats["flush/count"], stats["bytes/raw"]) == (2, 2, 48)


def test_the_server_going_and_coming_is_one_line_each(caplog):
    facts, stats = telemetry()
    with caplog.at_level(logging.INFO):
        for _ in range(50):
            facts.again("answer 503")
            facts.unavailable("answer 503")
        for _ in range(5):
            facts.available()
        facts.unavailable("answer 503")
    assert [one.levelname for one in caplog.records] == ["WARNING", "INFO", "WARNING"]
    facts.publish()
    assert (stats["retries"], stats["outages"]) == (50, 2)


def test_only_where_no_server_answered_is_the_remedy_to_run_one(caplog):
    telemetry()[0].unavailable("answer 503: the journal is full", is_told=True)
    LeftoverTelemetry().unavailable("answer 503: the journal is full", is_told=True)
    for one in caplog.records:
        assert "(answer 503: the journal is full)" in one.getMessage()
        assert "t takes batches again by itself" in one.getMessage()
        assert "BATCHING_URL" not in one.getMessage()
    caplog.clear()
    telemetry()[0].unavailable("no answer within 60 s")
    LeftoverTelemetry().unavailable("no answer within 60 s")
    for one in caplog.records:
        assert "BATCHING_URL" in one.getMessage()
        assert "by itself" not in one.getMessage()
    assert len(caplog.records) == 2


def test_an_altered_item_is_told_once_for_each_class_and_cause(caplog):
    facts, stats = telemetry()
    for name, *causes in (("A", "x"), ("A", "x"), ("B", "x"), ("A", "x", "y"), ("A", "y")):
        facts.altered(name, causes)
    facts.publish()
    assert stats["items/altered"] == 5
    told = [record.getMessage() for record in caplog.records]
    assert [one.partition(";")[0] for one in told] == [
        "batching altered an item of class A: x",
        "batching altered an item of class B: x",
        "batching altered an item of class A: y",
    ]


def test_a_rejected_item_is_an_error_with_its_class(caplog):
    facts, _ = telemetry()
    facts.rejected(ItemNotEncodable("Book", "price", "builtins.object"), object())
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "Book cannot be written as JSON: builtins.object at price" in record.getMessage()


def test_the_summary_is_one_line(caplog):
    facts, stats = telemetry()
    facts.enqueued = 5
    with caplog.at_level(logging.INFO):
        facts.summary("c-1", "finished", {"expected": 5, "processed": 5, "missing": 0, "inserted": 5}, Path("spool"))
    (record,) = caplog.records
    line = record.getMessage()
    assert record.levelno == logging.INFO
    assert "crawl c-1 (finished): 5 items taken" in line
    assert line.endswith("; server: 5 committed (5 inserted), 0 dead letters")
    assert (stats["server/missing"], stats["server/inserted"]) == (0, 5)
    assert "finish_reason" not in stats


def test_the_summary_warns_of_what_is_spooled_and_says_where_and_what_sends_it(caplog):
    facts, _ = telemetry()
    for _ in range(3):
        facts.kept(batch(2), Path("/spool/run/books/x.ndjson"), "the server is away", None)
    (first,) = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert "a batch of 2 items for books is in the spool" in first
    assert "others for the same reason are counted in the summary" in first
    caplog.clear()
    facts.summary("c-1", "finished", {}, Path("spool"))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "6 spooled" in record.getMessage()
    assert str(Path("spool").absolute()) in record.getMessage()
    assert record.getMessage().endswith("scrapy batches send")


def test_the_summary_warns_of_what_is_dropped(caplog):
    facts, _ = telemetry()
    facts.dropped()
    caplog.clear()
    facts.summary("c-1", "finished", {}, Path("spool"))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "scrapy batches send" not in record.getMessage(), "nothing of it is in the spool"


def test_dropped_items_are_told_at_growing_intervals(caplog):
    facts, stats = telemetry()
    for _ in range(1_500):
        facts.dropped()
    facts.publish()
    assert stats["items/dropped"] == 1_500
    assert [one.levelno for one in caplog.records] == [logging.CRITICAL] * 4
    assert "BATCHING_WHEN_FULL" in caplog.text


def test_a_disk_that_fails_and_works_again_is_one_line_each(caplog):
    facts, _ = telemetry()
    with caplog.at_level(logging.INFO):
        facts.disk_works()
        for _ in range(5):
            facts.disk_failed(SpoolFailed(Path("/spool"), "No space left on device"))
        for _ in range(5):
            facts.disk_works()
    assert [one.levelname for one in caplog.records] == ["ERROR", "INFO"]


def test_high_water_is_a_warning_once(caplog):
    facts, _ = telemetry()
    for _ in range(3):
        facts.full(1_000, 5_000, "the spider waits")
    (told,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "1000 items in 5000 bytes wait for the server" in told.getMessage()


def test_a_closing_crawl_names_the_last_reason(caplog):
    facts, _ = telemetry()
    with caplog.at_level(logging.INFO):
        facts.closing(7, 590.0)
        facts.unavailable("answer 503")
        facts.closing(7, 580.0)
        facts.available()
        facts.closing(3, 570.0)
    lines = [one.getMessage() for one in caplog.records if "the crawl is done" in one.getMessage()]
    assert ["it is at work" in line for line in lines] == [True, False, True]
    assert "7 items wait for the server (answer 503); it gives up in 580 s" in lines[1]


def test_the_summary_warns_of_what_the_server_refused_and_says_what_sends_it(caplog):
    facts, _ = telemetry()
    facts.rejected(ItemNotEncodable("Book", "price", "builtins.object"), object())
    facts.refused(batch(1), Path("x"), "422 no", None)
    assert (
        "the server refuses 1 item for books (422 no): x\n  when it is mended: scrapy batches send --refused"
        in caplog.text
    )
    caplog.clear()
    facts.summary("c-1", "finished", {}, Path("spool"))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "2 rejected" in record.getMessage()
    assert f"; the server refused 1 item: {Path('spool').absolute() / 'refused'} holds them" in record.getMessage()
    assert record.getMessage().endswith("scrapy batches send --refused")


def test_the_summary_does_not_warn_of_what_had_no_form(caplog):
    facts, _ = telemetry()
    facts.rejected(ItemNotEncodable("Book", "price", "builtins.object"), object())
    caplog.clear()
    with caplog.at_level(logging.INFO):
        facts.summary("c-1", "finished", {}, Path("spool"))
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert "refused" not in record.getMessage()


def test_rejected_items_are_told_at_growing_intervals_for_each_class_and_cause(caplog):
    facts, stats = telemetry()
    for n in range(150):
        facts.rejected(ItemNotEncodable("Book", f"prices[{n}]", "builtins.object"), object())
    facts.rejected(ItemNotEncodable("Book", "price", "builtins.complex"), object())
    facts.rejected(ItemNotEncodable("Film", "price", "builtins.object"), object())
    told = [one.getMessage() for one in caplog.records]
    assert [one.partition(". ")[2].partition(" so far")[0] for one in told] == [
        f"{count} of this class for this reason" for count in ("1 item", "10 items", "100 items", "1 item", "1 item")
    ]
    assert "the next line comes at 1000" in told[2]
    facts.publish()
    assert stats["items/rejected"] == 152


def test_a_spider_that_makes_a_class_for_each_page_fills_neither_log_nor_memory(caplog):
    facts, _ = telemetry()
    for n in range(3_000):
        facts.rejected(ItemNotEncodable(f"Page{n}", "price", "builtins.object"), object())
    assert len(caplog.records) == 1_000 + 4


def test_what_follows_a_full_stop_begins_with_a_capital(caplog):
    telemetry()[0].unavailable("x", remedy="it does not speak TLS there")
    telemetry()[0].unavailable("x")
    assert "batches wait. It does not speak" in caplog.records[0].getMessage()
    assert "batches wait. If it does not run" in caplog.records[1].getMessage()


def test_a_batch_that_somebody_in_between_dislikes_is_told_once_for_each_table(caplog):
    facts, _ = telemetry()
    for table in ("books", "books", "films"):
        facts.dislikes(table, "answer 422, not from an ingestion server")
    assert [one.getMessage().partition(" does")[0] for one in caplog.records] == [
        "batching: a batch for books",
        "batching: a batch for films",
    ]
