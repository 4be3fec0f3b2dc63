"""A group of dead letters on its way again: bounded batches, asked twice, what is left as it is."""

import json

import pytest

from ingest_server.api.letters import retry_group
from tests.asking import Asker, locked, until_blocked
from tests.ingest_server.api.letters.asking_letters import JSON, Letters, line
from tests.ingest_server.api.problems import is_problem
from tests.running import running_server


def bad(number: int) -> dict:
    return {"name": f"item {number}", "price": -number - 1}


async def test_a_group_is_stored_in_batches_of_a_bounded_size_one_or_more_a_crawl(
    letters: Letters, shared_sql, things: str
) -> None:
    for crawl, count in (("one", 1500), ("other", 2)):
        letters.asker.send(things, *map(bad, range(count)), ingest_crawl=f"{crawl}-{things}", prefer="wait=30")
    await shared_sql.execute(f"ALTER TABLE {things} DROP CONSTRAINT {things}_price_check")
    answer = letters.retry_group(table=things, code="23514")
    assert answer.status == 202
    view = answer.json
    assert (view["letters"], view["left"], view["cursor"]) == (1502, [], None)
    assert sum(batch["total"] for batch in view["batches"]) == 1502
    assert max(batch["total"] for batch in view["batches"]) <= 1000
    for batch in view["batches"]:
        settled = letters.asker.settled(batch["id"])
        assert (settled["crawl"], settled["failed"], settled["inserted"]) == (None, 0, settled["total"])
    assert letters.listed(table=things) == []
    assert await shared_sql.fetchval(f"SELECT count(*) FROM {things}") == 1502
    for crawl, count in (("one", 1500), ("other", 2)):
        totals = letters.crawl(f"{crawl}-{things}")
        assert (totals["batches"], totals["total"], totals["inserted"], totals["failed"]) == (1, count, count, 0)
    again = letters.retry_group(table=things, code="23514")
    assert (again.status, again.json["batches"], again.json["letters"]) == (202, [], 0)


async def test_a_group_asked_twice_is_sent_once_even_where_letters_came_meanwhile(
    letters: Letters, shared_sql, things: str
) -> None:
    letters.asker.send(things, *map(bad, range(30)), ingest_crawl=f"c-{things}", prefer="wait=30")
    new = line(id="0190a7e4-1111-7222-8333-44445555dddd", table=things, crawl=f"c-{things}", code="23514", item=bad(1))
    async with locked(shared_sql, things):
        first = letters.retry_group(table=things, code="23514").json
        again = letters.retry_group(table=things, code="23514").json
        assert [one["id"] for one in first["batches"]] == [one["id"] for one in again["batches"]]
        assert first["letters"] == again["letters"] == 30
        letters.put_in(json.dumps(new).encode())
        third = letters.retry_group(table=things, code="23514").json
        assert sorted(one["total"] for one in third["batches"]) == [1, 30]
    for batch in third["batches"]:
        assert letters.asker.settled(batch["id"])["failed"] == batch["total"]
    assert [letter["attempts"] for letter in letters.listed(table=things)] == [2] * 31
    assert letters.crawl(f"c-{things}")["failed"] == 30


async def test_a_letter_in_two_batches_at_once_is_tried_once(letters: Letters, shared_sql, things: str) -> None:
    """One by one and as a group, with the item as it is: one name, (letter, attempt, item), and two batches."""
    buried = letters.bury(things, bad(0), bad(1), ingest_crawl=f"c-{things}")
    async with locked(shared_sql, things):
        group = letters.retry_group(table=things).json
        alone = letters.retry(buried[0]["id"]).json
        assert alone["id"] not in {one["id"] for one in group["batches"]}
        await until_blocked(shared_sql)
    views = [letters.asker.settled(one["id"]) for one in (*group["batches"], alone)]
    assert sum(view["failed"] for view in views) == 3
    assert {letter["id"]: letter["attempts"] for letter in letters.listed(table=things)} == {
        one["id"]: 2 for one in buried
    }
    await shared_sql.execute(f"ALTER TABLE {things} DROP CONSTRAINT {things}_price_check")
    async with locked(shared_sql, things):
        group = letters.retry_group(table=things).json
        alone = letters.retry(buried[0]["id"]).json
        await until_blocked(shared_sql)
    views = [letters.asker.settled(one["id"]) for one in (*group["batches"], alone)]
    assert (sum(view["inserted"] for view in views), sum(view["unchanged"] for view in views)) == (2, 1)
    assert await shared_sql.fetchval(f"SELECT count(*) FROM {things}") == 2
    totals = letters.crawl(f"c-{things}")
    assert (totals["total"], totals["inserted"], totals["unchanged"], totals["failed"]) == (2, 2, 0, 0)


async def test_what_cannot_be_retried_as_it_is_is_said_and_left(letters: Letters, shared_sql, things: str) -> None:
    letters.bury(things, b"{broken", bad(0), b"[1]")
    await shared_sql.execute(f"ALTER TABLE {things} DROP CONSTRAINT {things}_price_check")
    view = letters.retry_group(table=things).json
    assert view["letters"] == 2
    (left,) = view["left"]
    assert (left["table"], left["letters"]) == (things, 1)
    assert "repaired" in left["reason"]
    for batch in view["batches"]:
        letters.asker.settled(batch["id"])
    assert sorted(letter["attempts"] for letter in letters.listed(table=things)) == [1, 2]
    letters.delete(next(one["id"] for one in letters.listed(table=things) if "item" in one))
    view = letters.retry_group(table=things).json
    assert (view["batches"], view["letters"], view["left"]) == ([], 0, [left])


async def test_column_and_code_choose_and_an_empty_column_means_that_none_is_named(
    letters: Letters, things: str
) -> None:
    letters.bury(things, {"name": "a", "price": "x"}, {"name": 1, "price": 1}, b"{", bad(1))
    columns = {one["column"] for one in letters.listed(table=things)}
    assert columns == {"price", "name", None}
    assert [one["column"] for one in letters.listed(table=things, column="name")] == ["name"]
    assert {one["code"] for one in letters.listed(table=things, column="")} == {"invalid"}
    groups = letters.asker.get(f"/v1/dead-letters/groups?table={things}&code=invalid").json["groups"]
    assert {(one["column"], one["count"]) for one in groups} == {("price", 1), ("name", 1), (None, 1)}
    view = letters.retry_group(table=things, column="name").json
    assert (view["letters"], len(view["batches"])) == (1, 1)
    letters.asker.settled(view["batches"][0]["id"])
    assert sorted(one["attempts"] for one in letters.listed(table=things)) == [1, 1, 1, 2]


async def test_a_large_group_is_asked_for_in_pieces(
    database: str, sql, monkeypatch: pytest.MonkeyPatch, things: str
) -> None:
    """The bounds are the module's own; the server beside is a process, so they are set through its program."""
    program = (
        "-c",
        (
            "import sys; from ingest_server.api.letters import retry_group as g; g._PAGE_LETTERS = 10; g._MOST_BATCHES = 3; "
            "sys.argv[0] = 'ingest-server'; from ingest_server.__main__ import main; main()"
        ),
    )
    assert (retry_group._PAGE_LETTERS, retry_group._MOST_BATCHES) == (1000, 100)
    await sql.execute("CREATE TABLE things (name text, price numeric CHECK (price > 0))")
    with running_server("--database", database, program=program) as server:
        own = Letters(Asker(server.port))
        own.asker.send("things", *map(bad, range(75)), prefer="wait=30")
        await sql.execute("ALTER TABLE things DROP CONSTRAINT things_price_check")
        seen, cursor, asked = 0, {}, 0
        while cursor is not None:
            view = own.retry_group(table="things", **cursor).json
            assert len(view["batches"]) <= 3
            seen += view["letters"]
            for batch in view["batches"]:
                own.asker.settled(batch["id"])
            cursor = None if view["cursor"] is None else {"cursor": view["cursor"]}
            asked += 1
        assert (seen, asked) == (75, 3)
        assert await sql.fetchval("SELECT count(*) FROM things") == 75


async def test_a_group_of_a_dropped_table_is_404_and_beside_others_it_is_left(database: str, sql) -> None:
    await sql.execute("CREATE TABLE gone (a int); CREATE TABLE there (a int)")
    with running_server("--database", database) as server:
        own = Letters(Asker(server.port))
        own.bury("gone", {"a": "x"})
        (letter,) = own.listed(table="gone")
        own.bury("there", {"a": "x"})
    await sql.execute("DROP TABLE gone")
    with running_server("--database", database) as server:
        own = Letters(Asker(server.port))
        is_problem(own.retry_group(table="gone"), 404, "not-found")
        is_problem(own.retry(letter["id"]), 404, "not-found")
        view = own.retry_group(code="invalid").json
        assert [(one["table"], one["letters"]) for one in view["left"]] == [("gone", 1)]
        assert [one["table"] for one in view["batches"]] == ["there"]
        assert own.show(letter["id"]).json["attempts"] == 1
        await sql.execute("CREATE TABLE gone (a text)")
        assert own.retry(letter["id"], prefer="wait=30").json["inserted"] == 1


async def test_a_retry_whose_table_goes_meanwhile_waits_for_it(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database) as server:
        own = Letters(Asker(server.port))
        (letter,) = own.bury("things", {"a": "x"})
        await sql.execute("ALTER TABLE things RENAME TO away")
        answer = own.retry(letter["id"], {"a": 1})
        assert answer.status == 202
        while not own.asker.get("/readyz").json["warnings"]:
            pass
        await sql.execute("ALTER TABLE away RENAME TO things")
        assert own.asker.settled(answer.json["id"])["inserted"] == 1
        assert own.listed(table="things") == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"table": ""}',
        '{"table": null}',
        '{"tables": "a"}',
        '{"table": "a.b.c"}',
        '{"code": 1}',
        '{"code": "x", "cursor": "y"}',
        '{"cursor": "0.0190a7e4-1111-7222-8333-444455556666"}',
        '{"column": "\\u0000"}',
        '{"crawl": ""}',
        '{"code": "\\u00fc"}',
        "[" * 5000,
    ],
)
def test_a_group_that_makes_no_sense_is_400(letters: Letters, body: str) -> None:
    is_problem(letters.asker.ask("POST", "/v1/dead-letters/retry", body, JSON), 400, "bad-request")


async def test_the_queue_says_when_it_has_no_room_for_a_retry(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database, "--workers", "1", "--journal-bytes", "1048576") as server:
        own = Letters(Asker(server.port))
        (letter,) = own.bury("things", {"a": "x"})
        async with locked(sql, "things"):
            while own.asker.send("things", {"a": 1}).status == 202:
                pass
            for answer in (own.retry(letter["id"]), own.retry_group(table="things")):
                is_problem(answer, 503, "unavailable")
                assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert own.show(letter["id"]).json["attempts"] == 1
