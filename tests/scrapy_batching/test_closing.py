"""The end of a crawl: asked for until both sides agree, within bounds, and a mismatch is loud in every run mode."""

import asyncio
import logging
from pathlib import Path

import pytest

from scrapy_batching.closing import LEAST_SECONDS, MOST_SECONDS, mismatch, until_both_agree
from tests.scrapy_batching.crawls import MODES, crawled
from tests.scrapy_batching.fake_server import problem
from tests.scrapy_batching.leftovers.leaving import send
from tests.scrapy_batching.make import telemetry


class Talk:
    """A server that says one thing after the other, the last for ever, in a time that only passes while somebody pauses."""

    def __init__(self, *answers: dict | None) -> None:
        self.answers = list(answers)
        self.now = 0.0
        self.waits: list[int] = []
        self.pauses: list[float] = []

    async def close(self, wait: int, give_up_at: float) -> dict | None:
        self.waits.append(wait)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def said(self, left: float = 600) -> dict[str, int]:
        return await until_both_agree(self.close, left=left, clock=lambda: self.now, pause=self.pause)


async def test_it_asks_until_nothing_is_pending_and_nothing_is_missing():
    talk = Talk({"pending": 5, "missing": 0}, {"pending": 0, "missing": 2}, {"pending": 0, "missing": 0, "failed": 1})
    assert await talk.said() == {"pending": 0, "missing": 0, "failed": 1}
    assert talk.pauses == [0.1, 0.2]


async def test_it_gives_the_last_figures_when_the_time_is_over():
    talk = Talk({"pending": 0, "missing": 3})
    assert await talk.said() == {"pending": 0, "missing": 3}
    assert MOST_SECONDS - 2 <= talk.now <= MOST_SECONDS
    assert talk.waits[0] == 10
    assert talk.waits[-1] < 2


async def test_a_crawl_without_time_asks_once():
    talk = Talk({"pending": 9, "missing": 0})
    assert await talk.said(left=-3) == {"pending": 9, "missing": 0}
    assert (talk.waits, talk.pauses) == ([0], [])


async def test_a_server_that_does_not_say_ends_it_and_what_it_said_before_stands():
    assert await Talk(None).said() == {}
    assert await Talk({"pending": 1}, None).said() == {"pending": 1}
    assert await Talk({"pending": "many", "title": "a proxy"}).said() == {}


async def test_a_server_that_never_answers_holds_nobody(monkeypatch):
    monkeypatch.setattr("scrapy_batching.closing.LEAST_SECONDS", 0.05)

    async def never(wait: int, give_up_at: float) -> None:
        await asyncio.Event().wait()

    assert await until_both_agree(never, left=0) == {}
    assert LEAST_SECONDS < MOST_SECONDS


@pytest.mark.parametrize(
    ("missing", "kept", "said"),
    [(0, 0, None), (3, 9, "misses 3 items"), (-3, 3, None), (-4, 3, "has 4 items more"), (-1, 0, "BATCHING_CRAWL_ID")],
)
def test_what_is_missing_and_what_is_too_much_are_a_mismatch(missing, kept, said):
    found = mismatch({"missing": missing}, kept)
    assert (found is None) if said is None else (said in found)


def test_a_server_that_said_nothing_is_no_mismatch():
    assert mismatch({}, 0) is None


def test_a_mismatch_is_an_error_with_the_remedy(caplog):
    facts, stats = telemetry()
    with caplog.at_level(logging.INFO):
        facts.summary("it's c", "finished", {"expected": 5, "processed": 4, "missing": 1, "inserted": 4}, Path("spool"))
    line, error = caplog.records
    assert line.getMessage().endswith("server: 4 committed (4 inserted), 0 dead letters, 1 MISSING")
    assert error.levelno == logging.ERROR
    assert "misses 1 item" in error.getMessage()
    assert """ingest-server audit 'it'"'"'s c'""" in error.getMessage()
    assert (stats["server/processed"], stats["server/inserted"]) == (4, 4)


@pytest.mark.parametrize("mode", MODES)
async def test_a_mismatch_is_the_finish_reason_in_the_dumped_stats(server, tmp_path, mode):
    async def loses_one(_server, request, _body):
        server.batches.popitem()

    async def loses_for_good(_server, request, _body):
        return problem(403, "no more")

    server.on_close.extend([loses_one, loses_for_good])
    crawl = await crawled(tmp_path, mode=mode, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=5)
    assert crawl.stats[0]["finish_reason"] == "batching_mismatch"
    assert (crawl.batching()["finish_reason"], crawl.batching()["server/missing"]) == ("finished", 2)
    assert crawl.log.count("ingest-server audit numbers-") == 1
    assert "'finish_reason': 'batching_mismatch'" in crawl.log


async def test_counts_that_agree_after_a_while_are_no_mismatch(server, tmp_path):
    """Two servers: what is pending at the other one is missing here, until it is settled."""
    kept = {}

    async def away(*_):
        kept.update(server.batches)
        server.batches.clear()

    async def back(*_):
        server.batches.update(kept)

    server.on_close.extend([away, back])
    crawl = await crawled(tmp_path, BATCHING_URL=server.url)
    assert (crawl.stats[0]["finish_reason"], crawl.batching()["server/missing"]) == ("finished", 0)
    assert "finish_reason" not in crawl.batching()
    assert len(server.closes) == 2


async def test_a_database_that_is_away_at_the_close_is_no_mismatch_and_does_not_hold_the_crawl(server, tmp_path):
    async def away(*_):
        return problem(503, "PostgreSQL is away", Retry_After="40")

    server.on_close.append(away)
    crawl = await crawled(tmp_path, BATCHING_URL=server.url)
    assert crawl.stats[0]["finish_reason"] == "finished"
    assert "server: did not say" in crawl.log


async def test_totals_that_the_server_was_not_told_are_told_by_whoever_comes_next(server, tmp_path):
    async def away(*_):
        return problem(503, "PostgreSQL is away", Retry_After="40")

    server.on_close.append(away)
    first = await crawled(tmp_path, BATCHING_URL=server.url)
    (spool,) = {run.parent.parent for run in tmp_path.rglob("about.json")}
    await send(spool, server.url)
    refused, told = server.closes
    assert told == refused
    assert told["items"] == first.stats[0]["batching/items/enqueued"] > 0
    assert list(spool.iterdir()) == []
