"""A user's logging and stats collector may raise: that costs lines and stats, and no item, connection or file."""

import io
import logging
import sys

import pytest

from scrapy_batching.saying import SafeLogger, logger_of
from tests.scrapy_batching.crawls import MODES, NUMBERS, balanced, crawled, crawling
from tests.scrapy_batching.fake_server import Holding

SPIDER = NUMBERS.replace('yield {"n": n}', 'yield {"n": n}\n        yield {"n": object()}')

RAISES = (
    SPIDER
    + """
import logging

class Raises(logging.Handler):
    def emit(self, line):
        if line.name.startswith("scrapy_batching"):
            raise RuntimeError("a handler's own trouble")

logging.getLogger().addHandler(Raises())
"""
)

COLLECTOR = (
    SPIDER
    + """
class Raises(KeptStats):
    def set_value(self, key, value, spider=None):
        if key.startswith("batching/"):
            raise RuntimeError("a collector's own trouble")
        super().set_value(key, value, spider)

SETTINGS["STATS_CLASS"] = Raises
"""
)


@pytest.mark.parametrize("mode", MODES)
async def test_a_log_handler_that_raises_costs_no_item(server, tmp_path, mode):
    crawl = await crawled(tmp_path, RAISES, mode=mode, BATCHING_URL=server.url)
    assert sorted(item["n"] for item in server.items) == list(range(7))
    stats = crawl.batching()
    assert (stats["items/enqueued"], stats["items/delivered"], stats["items/rejected"]) == (8, 7, 1)
    assert balanced(stats)
    assert [one["items"] for one in server.closes] == [8]
    assert crawl.runs == []
    assert "Unclosed" not in crawl.log
    assert "Error processing" not in crawl.log
    # What was to be said is said, and why it was not said where it should have been.
    assert crawl.log.count("RuntimeError: a handler's own trouble") == 1
    assert "ERROR: batching rejects an item" in crawl.log


async def test_a_log_handler_that_raises_does_not_keep_a_forced_end_from_the_disk(server, tmp_path):
    holding = Holding()
    server.always = holding
    settings = {"BATCHING_SPOOL": False, "BATCHING_BATCH_ITEMS": 5}
    async with crawling(tmp_path, RAISES, BATCHING_URL=server.url, **settings) as crawl:
        await crawl.line("Closing spider")
        crawl.signal()
        await crawl.line("shutting down gracefully")
        crawl.signal()
        await crawl.end()
    holding.go.set()
    assert sorted(item["n"] for item in crawl.waiting()) == list(range(7))
    (run,) = crawl.runs
    assert (run / "close.json").exists()


@pytest.mark.parametrize("spool", [True, False])
async def test_a_stats_collector_that_raises_costs_no_item(server, tmp_path, spool):
    crawl = await crawled(tmp_path, COLLECTOR, BATCHING_URL=server.url, BATCHING_SPOOL=spool)
    assert sorted(item["n"] for item in server.items) == list(range(7))
    assert [one["items"] for one in server.closes] == [8]
    assert crawl.runs == []
    assert "8 items taken · 7 delivered · 1 rejected" in crawl.log
    assert crawl.log.count("batching: the stats collector raised on") == 1
    assert "Unclosed" not in crawl.log


class Bad(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise ValueError("no")


@pytest.fixture
def stopped(monkeypatch):
    """A logger whose lines are stopped by a handler that raises."""
    logger, handler = logging.getLogger("scrapy_batching.stopped"), Bad()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    monkeypatch.setattr(SafeLogger, "_is_told", False)
    yield logger_of(logger.name)
    logger.removeHandler(handler)


def test_what_a_handler_stops_goes_to_standard_error_with_one_traceback(stopped, capsys):
    stopped.warning("lost: %d", 3)
    stopped.error("lost too", exc_info=ZeroDivisionError())
    stopped.info("small talk")
    said = capsys.readouterr().err
    assert said.count("ValueError: no") == 1
    assert said.splitlines()[-2:] == ["WARNING: lost: 3", "ERROR: lost too"]


def test_with_raise_exceptions_off_nothing_is_said(stopped, monkeypatch, capsys):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    stopped.error("lost")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("broken", [None, io.StringIO()], ids=["none", "closed"])
def test_without_a_standard_error_it_is_quiet(stopped, monkeypatch, broken):
    if broken is not None:
        broken.close()
    monkeypatch.setattr(sys, "stderr", broken)
    stopped.error("lost")


def test_a_line_is_its_callers_with_what_it_was_given(caplog):
    caplog.set_level(logging.DEBUG, logger="scrapy_batching.somewhere")
    logger_of("scrapy_batching.somewhere").info("%d of %s", 1, "two", extra={"spider": "the spider"})
    logger_of("scrapy_batching.somewhere").log(logging.DEBUG, "x")
    line, other = caplog.records
    assert (line.name, line.levelno, line.getMessage()) == ("scrapy_batching.somewhere", logging.INFO, "1 of two")
    assert (line.funcName, line.spider) == ("test_a_line_is_its_callers_with_what_it_was_given", "the spider")
    assert (other.funcName, other.filename) == (line.funcName, "test_saying.py")
