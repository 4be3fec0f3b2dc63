"""`Prefer: wait=N` and `handling=strict`."""

import asyncio
import time

import pytest

from tests.asking import Asker, locked, until_blocked
from tests.ingest_server.api.problems import is_problem
from tests.running import RunningServer


@pytest.fixture
async def things(server: RunningServer, sql) -> Asker:
    # An index over an expression is no key: a batch is appended, and only the database finds a repetition.
    await sql.execute("CREATE TABLE things (a int NOT NULL); CREATE UNIQUE INDEX ON things ((a + 0))")
    return Asker(server.port)


async def test_wait_is_answered_when_the_batch_is_settled(things: Asker, sql) -> None:
    async with locked(sql, "things"):
        waiting = asyncio.create_task(asyncio.to_thread(things.send, "things", {"a": 1}, prefer="wait=30"))
        await until_blocked(sql)
        assert not waiting.done()
    answer = await waiting
    assert (answer.status, answer.json["ack"]) == (200, "committed")
    assert answer.headers["Preference-Applied"] == "wait=30"


async def test_wait_is_over_after_so_many_seconds(things: Asker, sql) -> None:
    async with locked(sql, "things"):
        began = time.monotonic()
        answer = things.send("things", {"a": 1}, prefer="wait=1")
        assert 1 <= time.monotonic() - began < 10
        assert (answer.status, answer.json["completed_at"]) == (202, None)
        assert (answer.headers["Preference-Applied"], answer.headers["Location"] is None) == ("wait=1", False)
        shown = things.get(f"/v1/batches/{answer.json['id']}", prefer="wait=1")
        assert (shown.status, shown.json["status"]) == (200, "processing")
        assert shown.headers["Preference-Applied"] == "wait=1"
        assert things.get(f"/v1/batches/{answer.json['id']}").headers["Preference-Applied"] is None
    assert things.settled(answer.json["id"])["inserted"] == 1


def test_wait_is_at_most_a_minute_and_nonsense_is_ignored(asker: Asker, table: str) -> None:
    for prefer, applied in {
        "wait=3600": "wait=60",
        "wait=0": "wait=0",
        "respond-async, wait=60": "wait=60",
        "wait=soon": None,
        "wait=-1": None,
        'handling="strict"; a=b, WAIT="60"': "wait=60, handling=strict",
        "return=minimal": None,
    }.items():
        answer = asker.send(table, {"a": 1}, prefer=prefer)
        assert answer.status == (200 if "60" in prefer or "3600" in prefer else 202), prefer
        assert answer.headers["Preference-Applied"] == applied


async def test_a_strict_batch_with_an_invalid_item_is_not_kept(things: Asker, sql) -> None:
    answer = things.send("things", {"a": 1}, {"a": "x"}, b"{", {"a": 3, "b": 1}, prefer="handling=strict")
    problem = is_problem(answer, 422, "unprocessable")
    assert [(error["index"], error.get("column")) for error in problem["errors"]] == [(1, "a"), (2, None), (3, "b")]
    assert await sql.fetchval("SELECT count(*) FROM things") == 0
    assert things.get("/v1/dead-letters").json["dead_letters"] == []
    assert things.get("/v1/batches").json["batches"] == []


async def test_what_only_the_database_finds_makes_the_whole_strict_batch_dead_letters(things: Asker, sql) -> None:
    assert things.send("things", {"a": 7}, prefer="wait=30").status == 200
    answer = things.send("things", {"a": 6}, {"a": 7}, {"a": 8}, prefer="handling=strict, wait=30")
    assert (answer.status, answer.json["status"], answer.json["failed"]) == (207, "failed", 3)
    assert answer.headers["Preference-Applied"] == "wait=30, handling=strict"
    assert [error["code"] for error in answer.json["errors"]] == ["strict", "23505", "strict"]
    assert await sql.fetchval("SELECT count(*) FROM things") == 1


async def test_a_strict_batch_without_a_fault_is_committed(things: Asker, sql) -> None:
    assert things.send("things", {"a": 1}, {"a": 2}, prefer="handling=strict, wait=30").status == 200
    assert await sql.fetchval("SELECT count(*) FROM things") == 2
