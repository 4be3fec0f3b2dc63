"""`scrapy batches send`: what waits is delivered, and what a person is told."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from scrapy_batching.spool.runs import find_runs
from tests.asking import Asker
from tests.running import RunningServer, running_server
from tests.scrapy_batching.commands.typed import ROOT, typed, typing
from tests.scrapy_batching.fake_server import Holding, says, shows
from tests.scrapy_batching.leftovers.leaving import everything, killed, left_by


@pytest.fixture
def real_server(database: str) -> Iterator[RunningServer]:
    """The server itself over the test's database, with landing tables."""
    with running_server("--database", database, "--create-tables") as running:
        yield running


@pytest.fixture
def strict_server(database: str) -> Iterator[RunningServer]:
    """The same without landing tables: a table that nobody made is 404."""
    with running_server("--database", database) as running:
        yield running


async def test_a_killed_crawl_is_sent_by_hand_and_stored_once(real_server, sql, free_port, tmp_path):
    """The whole road: a crawl without a server, SIGKILL, `scrapy batches send`, the real server, the table."""
    away = f"http://127.0.0.1:{free_port}"
    spool = await killed(tmp_path, HOW_MANY=250, BATCHING_BATCH_ITEMS=40, BATCHING_URL=away)
    (run,) = find_runs(spool)[0]
    crawl, names = run.about.crawl, [str(one.id) for one in run.left()]
    code, out, err = await typing(tmp_path, "send", BATCHING_URL=real_server.url)
    assert (code, err) == (0, "")
    assert out == "250 items in 7 batches delivered, 0 items refused\n"
    ask = Asker(real_server.port)
    for name in names:
        await asyncio.to_thread(ask.settled, name)
    stored = await sql.fetch("SELECT (item->>'n')::int AS n FROM numbers ORDER BY 1")
    assert [row["n"] for row in stored] == list(range(250))
    seen = await asyncio.to_thread(ask.get, f"/v1/crawls/{crawl}")
    wanted = {"expected": 250, "processed": 250, "missing": 0, "pending": 0, "spooled": 0, "reason": "killed"}
    assert seen.json | wanted == seen.json
    assert everything(spool) == []


async def test_a_table_that_is_made_later_gets_what_waited_for_it(strict_server, sql, tmp_path):
    names = left_by(tmp_path / "spool", 2, 3)
    code, out, _ = await typing(tmp_path, "send", BATCHING_URL=strict_server.url)
    assert code == 1
    assert "5 items in 2 batches wait in spool: books: 404" in out
    await sql.execute("CREATE TABLE books (n bigint PRIMARY KEY)")
    code, out, _ = await typing(tmp_path, "send", BATCHING_URL=strict_server.url)
    assert code == 0
    ask = Asker(strict_server.port)
    for name in names:
        await asyncio.to_thread(ask.settled, str(name))
    assert await sql.fetchval("SELECT count(*) FROM books") == 5
    seen = await asyncio.to_thread(ask.get, "/v1/crawls/old")
    assert seen.json | {"expected": 5, "missing": 0} == seen.json


async def test_what_was_refused_is_counted_right_when_it_is_sent_at_last(database, sql, tmp_path):
    """The run's folder is gone by then: the server's own totals are corrected."""
    await sql.execute("CREATE TABLE books (n bigint PRIMARY KEY)")
    first, _ = left_by(tmp_path / "spool", 2, 3)
    with running_server("--database", database) as server:
        ask = Asker(server.port)
        # Another body under this name: 422 for good.
        taken = await asyncio.to_thread(ask.send, "books", {"n": 99}, idempotency_key=str(first), prefer="wait=30")
        assert taken.status == 200
        code, out, _ = await typing(tmp_path, "send", BATCHING_URL=server.url)
        assert code == 0
        assert "2 items in spool/refused" in out
        seen = (await asyncio.to_thread(ask.get, "/v1/crawls/old")).json
        assert seen | {"items": 5, "rejected": 2, "missing": 0} == seen
    await sql.execute("DELETE FROM ingest.batches WHERE id = $1", first)
    with running_server("--database", database) as server:
        code, out, _ = await typing(tmp_path, "send", "--refused", BATCHING_URL=server.url)
        assert (code, out) == (0, "2 items in 1 batch delivered, 0 items refused\n")
        seen = (await asyncio.to_thread(Asker(server.port).get, "/v1/crawls/old")).json
    assert seen | {"items": 5, "rejected": 0, "expected": 5, "missing": 0} == seen
    assert list((tmp_path / "spool").glob("refused/*/*")) == []


async def test_send_tells_a_program_how_it_went(server, tmp_path):
    left_by(tmp_path / "spool", 2, 3)
    left_by(tmp_path / "spool", 4, table="others")
    server.tricks.extend([None, says(404, "no such table")])
    code, out, _ = await typing(tmp_path, "send", "--json", BATCHING_URL=server.url)
    assert code == 1
    assert json.loads(out) == {
        "spool": "spool",
        "delivered": {"batches": 2, "items": 6},
        "refused": {"batches": 0, "items": 0},
        "waiting": {"batches": 1, "items": 3},
        "in_use": {"batches": 0, "items": 0},
        "in_refused": {"batches": 0, "items": 0},
        "reason": "books: 404 no such table",
        "reasons": {"books": "404 no such table"},
    }


async def test_every_table_that_waits_has_its_reason(server, tmp_path):
    for table in ("books", "films", "maps"):
        left_by(tmp_path / "spool", 1, crawl=table, table=table)
    server.tricks.extend([says(404, "no such table"), says(403, "not yours"), says(404, "no such table")])
    code, out, _ = await typing(tmp_path, "send", BATCHING_URL=server.url)
    assert code == 1
    assert "3 items in 3 batches wait in spool: books, maps: 404 no such table; films: 403 not yours\n" in out
    server.tricks.extend([says(404, "no such table"), says(403, "not yours"), says(404, "x" * 5_000)])
    code, out, _ = await typing(tmp_path, "send", "--json", BATCHING_URL=server.url)
    reasons = json.loads(out)["reasons"]
    assert (code, list(reasons)) == (1, ["books", "films", "maps"])
    assert reasons["films"] == "403 not yours"
    assert max(map(len, reasons.values())) <= 201


async def test_a_reason_that_is_the_same_for_many_tables_is_said_once(server, tmp_path):
    for n in range(7):
        left_by(tmp_path / "spool", 1, crawl=f"c{n}", table=f"t{n}")
    server.always = says(401, "who are you")
    _, out, _ = await typing(tmp_path, "send", BATCHING_URL=server.url)
    assert "wait in spool: t0, t1, t2, t3, t4 …: 401 who are you\n" in out
    assert out.count("who are you") == 1


async def test_a_time_that_is_over_is_no_matter_where_nothing_waits(tmp_path, free_port):
    (tmp_path / "spool").mkdir()
    away = f"http://127.0.0.1:{free_port}"
    code, out, err = await typing(tmp_path, "send", "--timeout", "0", BATCHING_URL=away)
    assert (code, out, err) == (0, "0 items in 0 batches delivered, 0 items refused\n", "")
    left_by(tmp_path / "spool", 1)
    code, out, _ = await typing(tmp_path, "send", "--timeout", "0", BATCHING_URL=away)
    assert code == 1
    assert "1 item in 1 batch wait in spool: the 0 s of --timeout are over\n" in out


@pytest.mark.parametrize("status", [200, 301, 404, 500, 422])
async def test_send_ends_where_something_else_answers_and_says_what(server, tmp_path, status):
    left_by(tmp_path / "spool", 1)
    left_by(tmp_path / "spool", 1, table="others", crawl="another")
    server.always = shows(status, "<h1>a proxy's</h1>")
    code, out, _ = await typing(tmp_path, "send", BATCHING_URL=server.url)
    assert code == 1
    assert f': {status} not from an ingestion server, check BATCHING_URL; it began "<h1>a proxy\'s</h1>"' in out
    assert "2 items in 2 batches wait" in out
    assert len(server.sent) == (10 if status == 422 else 5), (
        "what is nobody's answer is not asked for once for each table"
    )
    server.always = None
    assert (await typing(tmp_path, "send", BATCHING_URL=server.url))[:2] == (
        0,
        "2 items in 2 batches delivered, 0 items refused\n",
    )


async def test_one_item_is_said_as_one(server, tmp_path):
    left_by(tmp_path / "spool", 1)
    server.always = says(422, "no")
    _, out, err = await typing(tmp_path, "send", BATCHING_URL=server.url)
    assert "0 items in 0 batches delivered, 1 item refused\n1 item in spool/refused" in out
    assert "the server refuses 1 item for books" in err


async def test_send_gives_up_in_time_and_says_what_to_do(free_port, tmp_path):
    left_by(tmp_path / "spool", 2)
    code, out, _ = await typing(tmp_path, "send", "--timeout", "0.2", BATCHING_URL=f"http://127.0.0.1:{free_port}")
    assert code == 1
    assert "2 items in 1 batch wait in spool: the 0.2 s of --timeout are over; the server takes nothing (" in out
    assert "start it, or check BATCHING_URL" in out
    assert find_runs(tmp_path / "spool")[0][0].left()


async def test_ctrl_c_ends_it_and_nothing_is_lost(server, tmp_path):
    left_by(tmp_path / "spool", 1, 2, 3)
    holding = Holding()
    server.tricks.extend([None, holding])
    async with typed(tmp_path, "send", BATCHING_URL=server.url) as process:
        await holding.reached.wait()
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in err.decode()
    assert "5 items in 2 batches wait in spool: it was interrupted" in out.decode()
    holding.go.set()
    code, _, _ = await typing(tmp_path, "send", BATCHING_URL=server.url)
    assert code == 0
    assert len(server.items) == 6


async def test_what_a_living_crawl_holds_is_none_of_its_business(server, tmp_path):
    left_by(tmp_path / "spool", 2)
    (living,) = find_runs(tmp_path / "spool")[0]
    assert living.claim()
    code, out, _ = await typing(tmp_path, "send", BATCHING_URL=server.url)
    assert code == 0
    assert server.sent == []
    assert "2 items held by a crawl, or by another sender" in out


async def test_a_person_at_a_terminal_sees_how_far_it_is(server, tmp_path):
    left_by(tmp_path / "spool", 2, 3)
    server.tricks.append(says(503))
    theirs, its = os.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scrapy", "batches", "send", "-s", "BATCHING_SPOOL_DIR=spool"),
            *("-s", f"BATCHING_URL={server.url}", "-s", "BATCHING_RETRY_BASE=0.01"),
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=its,
        )
        await process.communicate()
        shown = os.read(theirs, 1 << 16).decode()
    finally:
        os.close(theirs)
        os.close(its)
    assert process.returncode == 0
    assert "\r\x1b[K░░░░░░░░░░░░░░░░░░░░ 0 of 5 items" in shown
    assert shown.endswith("\r\x1b[K"), "the line is taken away at the end"
