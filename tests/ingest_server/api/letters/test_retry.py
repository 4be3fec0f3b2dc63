"""One dead letter on its way again: as it is, repaired, asked twice, refused again, gone."""

import asyncio
from decimal import Decimal

import pytest

from tests.asking import locked, until_blocked
from tests.ingest_server.api.letters.asking_letters import JSON, NOBODY, Letters
from tests.ingest_server.api.problems import is_problem

BAD = {"name": "Venus", "price": "a lot"}


async def test_a_repaired_item_is_stored_and_its_letter_is_gone(letters: Letters, shared_sql, things: str) -> None:
    crawl = f"c-{things}"
    (letter,) = letters.bury(things, {"name": "Mercury", "price": 1}, BAD, ingest_crawl=crawl)
    before = letters.crawl(crawl)
    assert (before["batches"], before["total"], before["inserted"], before["failed"]) == (1, 2, 1, 1)
    answer = letters.retry(letter["id"], {"name": "Venus", "price": 2.50}, prefer="wait=30")
    view = answer.json
    assert (answer.status, view["total"], view["inserted"], view["failed"]) == (200, 1, 1, 0)
    assert (view["table"], view["crawl"], view["ack"]) == (things, None, "committed")
    is_problem(letters.show(letter["id"]), 404)
    after = letters.crawl(crawl)
    assert (after["batches"], after["total"], after["inserted"], after["failed"]) == (1, 2, 2, 0)
    found = await shared_sql.fetch(f"SELECT name, price FROM {things} ORDER BY name")
    assert [tuple(row) for row in found] == [("Mercury", 1), ("Venus", Decimal("2.5"))]


async def test_what_is_refused_again_stays_with_the_new_reason_and_its_first_item(
    letters: Letters, shared_sql, things: str
) -> None:
    crawl = f"c-{things}"
    (letter,) = letters.bury(things, BAD, ingest_crawl=crawl)
    assert (letter["code"], letter["column"], letter["attempts"]) == ("invalid", "price", 1)
    answer = letters.retry(letter["id"], {"name": "Venus", "price": -1}, prefer="wait=30")
    assert (answer.status, answer.json["status"], answer.json["failed"]) == (207, "failed", 1)
    (error,) = answer.json["errors"]
    assert (error["index"], error["code"], error["dead_letter"]) == (0, "23514", letter["id"])
    again = letters.show(letter["id"]).json
    assert (again["code"], again["attempts"], again["item"]) == ("23514", 2, BAD)
    assert {name: again[name] for name in ("batch", "crawl", "index", "created_at")} == {
        name: letter[name] for name in ("batch", "crawl", "index", "created_at")
    }
    assert letters.retry(letter["id"], prefer="wait=30").json["errors"][0]["code"] == "invalid"
    assert letters.show(letter["id"]).json["attempts"] == 3
    assert len(letters.listed(table=things)) == 1
    totals = letters.crawl(crawl)
    assert (totals["batches"], totals["total"], totals["failed"]) == (1, 1, 1)


async def test_asked_twice_it_is_made_once(letters: Letters, shared_sql, things: str) -> None:
    (letter,) = letters.bury(things, BAD)
    repaired = {"name": "Venus", "price": 2}
    async with locked(shared_sql, things):
        first = letters.retry(letter["id"], repaired)
        second = letters.retry(letter["id"], repaired)
        assert (first.status, second.status) == (202, 202)
        assert first.json["id"] == second.json["id"]
        assert first.headers["Location"] == f"/v1/batches/{first.json['id']}"
        assert (first.headers["Idempotency-Replayed"], second.headers["Idempotency-Replayed"]) == (None, "true")
    letters.asker.settled(first.json["id"])
    late = letters.retry(letter["id"], repaired)
    assert (late.status, late.json["id"], late.headers["Idempotency-Replayed"]) == (200, first.json["id"], "true")
    assert await shared_sql.fetchval(f"SELECT count(*) FROM {things}") == 1
    is_problem(letters.retry(letter["id"], {"name": "Venus", "price": 3}), 404)
    is_problem(letters.retry(letter["id"]), 404)


async def test_asked_by_many_at_once_it_is_made_once(letters: Letters, shared_sql, things: str) -> None:
    (letter,) = letters.bury(things, BAD)
    answers = await asyncio.gather(
        *(asyncio.to_thread(letters.retry, letter["id"], {"name": "V", "price": 2}, prefer="wait=30") for _ in range(8))
    )
    assert {answer.status for answer in answers} <= {200, 409}
    assert await shared_sql.fetchval(f"SELECT count(*) FROM {things}") == 1


async def test_repaired_in_two_ways_at_once_only_one_is_stored(letters: Letters, shared_sql, things: str) -> None:
    crawl = f"c-{things}"
    (letter,) = letters.bury(things, BAD, ingest_crawl=crawl)
    async with locked(shared_sql, things):
        batches = [letters.retry(letter["id"], {"name": name, "price": 2}).json["id"] for name in ("Venus", "Erde")]
        await until_blocked(shared_sql)
    views = [letters.asker.settled(batch) for batch in batches]
    assert sorted((view["inserted"], view["unchanged"]) for view in views) == [(0, 1), (1, 0)]
    assert await shared_sql.fetchval(f"SELECT count(*) FROM {things}") == 1
    totals = letters.crawl(crawl)
    assert (totals["total"], totals["inserted"], totals["failed"]) == (1, 1, 0)


async def test_a_letter_that_was_deleted_meanwhile_is_not_written(letters: Letters, shared_sql, things: str) -> None:
    crawl = f"c-{things}"
    (letter,) = letters.bury(things, BAD, ingest_crawl=crawl)
    async with locked(shared_sql, things):
        batch = letters.retry(letter["id"], {"name": "Venus", "price": 2}).json["id"]
        await until_blocked(shared_sql)
        assert letters.delete(letter["id"]).status == 204
    view = letters.asker.settled(batch)
    assert (view["status"], view["failed"], view["errors"][0]["code"]) == ("failed", 1, "gone")
    assert await shared_sql.fetchval(f"SELECT count(*) FROM {things}") == 0
    assert letters.crawl(crawl)["failed"] == 1
    assert letters.listed(table=things) == []


async def test_what_is_no_json_must_be_repaired(letters: Letters, shared_sql, things: str) -> None:
    (letter,) = letters.bury(things, b'{"name": "Venus", "price": 2')
    problem = is_problem(letters.retry(letter["id"]), 422, "unprocessable")
    assert "repaired" in problem["detail"]
    assert letters.show(letter["id"]).json["attempts"] == 1
    assert letters.retry(letter["id"], {"name": "Venus", "price": 2}, prefer="wait=30").status == 200


async def test_a_strict_batchs_neighbours_are_stored_one_by_one(letters: Letters, shared_sql, things: str) -> None:
    items = [{"name": "Mercury", "price": 1}, {"name": "Venus", "price": -1}]
    view = letters.asker.send(things, *items, prefer="wait=30, handling=strict").json
    by_code = {error["code"]: error["dead_letter"] for error in view["errors"]}
    assert set(by_code) == {"strict", "23514"}
    assert letters.retry(by_code["strict"], prefer="wait=30").json["inserted"] == 1
    assert letters.retry(by_code["23514"], prefer="wait=30").json["failed"] == 1
    assert await shared_sql.fetchval(f"SELECT count(*) FROM {things}") == 1


@pytest.mark.parametrize(
    "body", ["[]", "1", "{", '{"item": 1}', '{"item": []}', '{"item": {"a": NaN}}', '{"items": {}}', "[" * 5000, "\x00"]
)
def test_a_retry_that_makes_no_sense_is_400(letters: Letters, body: str) -> None:
    answer = letters.asker.ask("POST", f"/v1/dead-letters/{NOBODY}/retry", body, JSON)
    is_problem(answer, 400, "bad-request")


def test_a_retry_without_a_body_is_of_the_item_as_it_is(letters: Letters, things: str) -> None:
    (letter,) = letters.bury(things, BAD)
    answer = letters.asker.ask("POST", f"/v1/dead-letters/{letter['id']}/retry", headers={"Prefer": "wait=30"})
    assert (answer.status, answer.json["failed"]) == (207, 1)
    is_problem(letters.asker.ask("POST", f"/v1/dead-letters/{letter['id']}/retry", "x", {"Content-Type": "a/b"}), 415)


def test_there_is_no_such_letter(letters: Letters) -> None:
    for answer in (letters.show(NOBODY), letters.delete(NOBODY), letters.retry(NOBODY), letters.retry("x")):
        is_problem(answer, 404, "not-found")


async def test_the_digits_of_a_repaired_number_stay_and_so_does_the_item_of_a_json_body(
    letters: Letters, shared_sql, things: str
) -> None:
    body = b'[{"name":\r\n "Venus",\n "price": "a lot"}]'
    sent = letters.asker.ask(
        "POST", f"/v1/tables/{things}/batches", body, {"Content-Type": "application/json", "Prefer": "wait=30"}
    )
    letter = sent.json["errors"][0]["dead_letter"]
    assert letters.retry(letter, prefer="wait=30").json["failed"] == 1
    raw = b'{"item":\n {"name": "V\\u00fc",\r\n "price": 123456789012345678901234567890.10}}'
    answer = letters.asker.ask("POST", f"/v1/dead-letters/{letter}/retry", raw, JSON | {"Prefer": "wait=30"})
    assert answer.status == 200
    row = await shared_sql.fetchrow(f"SELECT name, price::text FROM {things}")
    assert tuple(row) == ("Vü", "123456789012345678901234567890.10")
