"""Dead letters exported, deleted, imported again: as they were, once, and for whoever imports them."""

import json

import pytest

from tests.ingest_server.api.letters.asking_letters import NOBODY, Letters, line
from tests.ingest_server.api.problems import is_problem

LINES = ({"name": "Venus", "price": "a lot"}, b'{"name": 1, "broken', b"\xff\x00", b'[1.10,  "\xc3\xbc"]')


async def test_what_was_exported_comes_back_as_it_was(letters: Letters, shared_sql, things: str) -> None:
    crawl = f"c-{things}"
    letters.bury(things, *LINES, ingest_crawl=crawl)
    raws = dict(await shared_sql.fetch("SELECT id, raw FROM ingest.dead_letters WHERE table_name = $1", things))
    exported = letters.export(table=things)
    assert exported.count(b"\n") == len(LINES)
    assert letters.put_in(exported).json == {"imported": 0, "existing": 4}
    for one in letters.listed(table=things):
        assert letters.delete(one["id"]).status == 204
    assert letters.put_in(exported).json == {"imported": 4, "existing": 0}
    assert letters.put_in(exported + exported).json == {"imported": 0, "existing": 8}
    assert sorted(letters.export(table=things).splitlines()) == sorted(exported.splitlines())
    back = dict(await shared_sql.fetch("SELECT id, raw FROM ingest.dead_letters WHERE table_name = $1", things))
    assert back == raws
    assert letters.crawl(crawl)["failed"] == 4


async def test_what_a_retry_has_stored_is_not_imported_again(letters: Letters, shared_sql, things: str) -> None:
    crawl = f"c-{things}"
    (letter,) = letters.bury(things, LINES[0], ingest_crawl=crawl)
    exported = letters.export(table=things)
    assert letters.retry(letter["id"], {"name": "Venus", "price": 1}, prefer="wait=30").status == 200
    assert letters.put_in(exported).json == {"imported": 0, "existing": 1}
    assert letters.listed(table=things) == []
    totals = letters.crawl(crawl)
    assert (totals["inserted"], totals["failed"]) == (1, 0)


async def test_a_letter_that_came_back_is_retried_as_another_attempt(letters: Letters, shared_sql, things: str) -> None:
    """An old export says attempt 1, and that attempt was made: its name would be taken for asked twice."""
    crawl = f"c-{things}"
    (letter,) = letters.bury(things, {"name": "Venus", "price": -1}, ingest_crawl=crawl)
    exported = letters.export(table=things)
    assert letters.retry(letter["id"], prefer="wait=30").status == 207
    letters.delete(letter["id"])
    letters.put_in(exported)
    assert letters.show(letter["id"]).json["attempts"] == 2
    await shared_sql.execute(f"ALTER TABLE {things} DROP CONSTRAINT {things}_price_check")
    assert letters.retry(letter["id"], prefer="wait=30").json["inserted"] == 1
    totals = letters.crawl(crawl)
    assert (totals["inserted"], totals["failed"]) == (1, 0)


async def test_a_letter_from_elsewhere_moves_nothing_in_a_crawl_of_its_name(letters: Letters, things: str) -> None:
    crawl = f"c-{things}"
    letters.bury(things, LINES[0], ingest_crawl=crawl)
    foreign = line(id="0190a7e4-1111-7222-8333-44445555aaaa", table=things, crawl=crawl, item={"name": "x", "price": 1})
    assert letters.put_in(json.dumps(foreign).encode()).json == {"imported": 1, "existing": 0}
    assert letters.retry(foreign["id"], prefer="wait=30").json["inserted"] == 1
    totals = letters.crawl(crawl)
    assert (totals["total"], totals["inserted"], totals["failed"]) == (1, 0, 1)
    assert letters.asker.get(f"/v1/crawls/{crawl}-other").status == 404


def test_a_body_with_bad_lines_is_refused_as_a_whole_and_says_which(letters: Letters, things: str) -> None:
    good = json.dumps(line(table=things, id="0190a7e4-1111-7222-8333-44445555bbbb")).encode()
    answer = letters.put_in(good + b"\n{broken\n\n" + json.dumps(line(index=-1)).encode())
    problem = is_problem(answer, 400, "bad-request")
    assert [error["index"] for error in problem["errors"]] == [1, 2]
    assert "line 2" in problem["detail"]
    assert letters.listed(table=things) == []
    assert letters.put_in(good).json["imported"] == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "x"},
        {"id": ...},
        {"batch": "0190a7e4111172228333444455556666"},
        {"table": "a.b.c"},
        {"table": ""},
        {"table": "x" * 64},
        {"crawl": "with space"},
        {"index": 2**31},
        {"index": 1.5},
        {"index": "1"},
        {"code": ""},
        {"code": "ü"},
        {"column": "a\0b"},
        {"message": "a\0b"},
        {"message": None},
        {"attempts": 0},
        {"attempts": 2**31},
        {"created_at": "yesterday"},
        {"created_at": "2026-01-01T12:00:00"},
        {"created_at": "0001-01-01T00:00:00+14:00"},
        {"item": ...},
        {"item": ..., "raw": "not base64!"},
        {"raw": "AAAA"},
        {"extra": 1},
    ],
)
def test_a_line_that_is_no_exported_letter_is_400_and_its_content_is_not_said(letters: Letters, changes: dict) -> None:
    body = json.dumps(line(**changes | {"message": changes.get("message", "SECRET")})).encode()
    answer = letters.put_in(body)
    problem = is_problem(answer, 400, "bad-request")
    assert problem["errors"][0]["message"]
    assert b"SECRET" not in answer.body


@pytest.mark.parametrize("body", [b"", b"\n\n"])
def test_an_import_of_nothing_is_422(letters: Letters, body: bytes) -> None:
    is_problem(letters.put_in(body), 422, "unprocessable")


def test_an_import_in_another_form_is_415(letters: Letters) -> None:
    is_problem(letters.asker.ask("POST", "/v1/dead-letters", b"{}", {"Content-Type": "application/json"}), 415)


def test_letters_of_the_first_and_the_last_year_are_listed_and_turned_over(letters: Letters, things: str) -> None:
    times = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "1969-12-31T23:59:59.500+00:00")
    body = b"\n".join(
        json.dumps(line(id=f"0190a7e4-1111-7222-8333-44445555cc0{n}", table=things, created_at=time)).encode()
        for n, time in enumerate(times)
    )
    assert letters.put_in(body).json["imported"] == 3
    seen, cursor = [], ""
    while cursor is not None:
        page = letters.asker.get(f"/v1/dead-letters?table={things}&limit=1{cursor and '&cursor=' + cursor}").json
        seen += [one["created_at"] for one in page["dead_letters"]]
        cursor = page["cursor"]
    assert seen == ["9999-12-31T23:59:59.999Z", "1969-12-31T23:59:59.500Z", "0001-01-01T00:00:00.000Z"]
    for cursor in ("999999999999999999", "-999999999999999999"):
        assert letters.asker.get(f"/v1/dead-letters?table={things}&cursor={cursor}.{NOBODY}").status == 200


def test_a_page_of_large_items_ends_early_and_the_export_is_whole(letters: Letters, things: str) -> None:
    large = 6 * 2**20
    for number in range(4):
        letters.asker.send(things, {"name": "x" * large, "price": -1, "extra": number}, prefer="wait=30")
    page = letters.asker.get(f"/v1/dead-letters?table={things}").json
    assert len(page["dead_letters"]) == 3
    rest = letters.asker.get(f"/v1/dead-letters?table={things}&cursor={page['cursor']}").json
    assert (len(rest["dead_letters"]), rest["cursor"]) == (1, None)
    assert len(letters.export(table=things).splitlines()) == 4
