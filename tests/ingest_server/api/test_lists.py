"""Batches listed, crawls totalled and closed, dead letters shown, tables described."""

import asyncio
import base64
import json

import pytest

from tests.asking import Asker, locked, until_blocked
from tests.ingest_server.api.problems import is_problem
from tests.running import RunningServer, running_server


def pages(asker: Asker, path: str, key: str) -> list[dict]:
    found, cursor = [], ""
    while cursor is not None:
        page = asker.get(f"{path}&cursor={cursor}" if cursor else path).json
        found += page[key]
        cursor = page["cursor"]
    return found


def test_batches_are_listed_newest_first_and_in_pages(asker: Asker, table: str) -> None:
    crawl = f"crawl-{table}"
    sent = [asker.send(table, {"a": number}, ingest_crawl=crawl, prefer="wait=30").json["id"] for number in range(5)]
    assert asker.send(table, b"broken", ingest_crawl=crawl, prefer="wait=30").json["status"] == "failed"
    for size in (1, 2, 3, 6, 1000):
        found = pages(asker, f"/v1/batches?crawl={crawl}&limit={size}&status=completed", "batches")
        assert [one["id"] for one in found] == sent[::-1]
    assert len(pages(asker, f"/v1/batches?crawl={crawl}&limit=2", "batches")) == 6
    assert asker.get(f"/v1/batches?crawl={crawl}&limit=6").json["cursor"] is None
    assert [one["status"] for one in pages(asker, f"/v1/batches?crawl={crawl}&status=failed", "batches")] == ["failed"]
    assert pages(asker, f"/v1/batches?crawl={crawl}&status=queued", "batches") == []


async def test_no_batch_is_missed_while_batches_settle_between_two_pages(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a int); CREATE TABLE others (a int)")
    with running_server("--database", database, "--workers", "1") as server:
        asker = Asker(server.port)
        sent = {asker.send("others", {"a": 0}, prefer="wait=30").json["id"] for _ in range(3)}
        found: list[dict] = []
        async with locked(sql, "things"):
            for number in range(6):
                sent.add(asker.send("things", {"a": number}).json["id"])
            await until_blocked(sql)
            for size in (1, 2, 4, 9):
                ids = [one["id"] for one in pages(asker, f"/v1/batches?limit={size}", "batches")]
                assert (len(ids), set(ids)) == (9, sent)
            assert len(pages(asker, "/v1/batches?limit=2&status=queued", "batches")) == 5
            page = asker.get("/v1/batches?limit=4").json
            assert {one["status"] for one in page["batches"]} <= {"queued", "processing"}
            found += page["batches"]
        for batch in sent:
            asker.settled(batch)
        while page["cursor"] is not None:
            page = asker.get(f"/v1/batches?limit=2&cursor={page['cursor']}").json
            found += page["batches"]
        assert {one["id"] for one in found} == sent


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=١",
        "cursor=x",
        "cursor=1.2",
        "status=done",
        "crawl=%00",
        f"crawl={'x' * 300}",
    ],
)
def test_a_parameter_that_makes_no_sense_is_400(asker: Asker, query: str) -> None:
    from urllib.parse import quote

    is_problem(asker.get(f"/v1/batches?{quote(query, safe='=&%')}"), 400, "bad-request")


async def test_a_crawls_totals_add_up_while_batches_flow(server: RunningServer, sql) -> None:
    asker = Asker(server.port)
    batches, size = 60, 20

    def send(number: int) -> None:
        items = [{"n": number}] * (size - 1) + [b"broken"]
        assert asker.send("things", *items, ingest_crawl="flow").status == 202

    async def look() -> dict:
        seen, view = 0, {"pending": 1, "total": 0}
        while view["pending"] or view["total"] < batches * size:
            answer = await asyncio.to_thread(asker.get, "/v1/crawls/flow")
            if answer.status == 404:
                continue
            view = answer.json
            assert view["total"] == view["processed"] + view["pending"] == view["batches"] * size
            assert view["processed"] == view["succeeded"] + view["failed"]
            assert view["failed"] * size == view["processed"]
            assert view["total"] >= seen, "totals never shrink"
            seen = view["total"]
        return view

    looking = asyncio.create_task(look())
    await asyncio.gather(*(asyncio.to_thread(send, number) for number in range(batches)))
    view = await looking
    assert (view["batches"], view["inserted"], view["failed"]) == (batches, batches * (size - 1), batches)
    assert view["expected"] is None


async def test_closing_a_crawl_waits_until_nothing_is_pending(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database) as server:
        asker = Asker(server.port)
        async with locked(sql, "things"):
            for number in range(3):
                asker.send("things", {"a": number}, b"broken", ingest_crawl="c")
            at_once = asker.close_crawl("c", 6)
            assert (at_once.json["pending"], at_once.json["missing"], at_once.headers["Preference-Applied"]) == (
                6,
                0,
                None,
            )
            late = asker.close_crawl("c", 6, prefer="wait=1")
            assert (late.json["pending"], late.headers["Preference-Applied"]) == (6, "wait=1")
            closing = asyncio.create_task(
                asyncio.to_thread(
                    asker.close_crawl,
                    "c",
                    {"items": 12, "rejected": 1, "dropped": 2, "spooled": 3, "reason": "ok"},
                    prefer="wait=30",
                )
            )
            await until_blocked(sql, 3)
        view = (await closing).json
    assert view | {"closed_at": None} == {
        "crawl": "c",
        "batches": 3,
        "total": 6,
        "processed": 6,
        "succeeded": 3,
        "failed": 3,
        "pending": 0,
        "inserted": 3,
        "updated": 0,
        "unchanged": 0,
        "expected": 6,
        "missing": 0,
        "items": 12,
        "rejected": 1,
        "dropped": 2,
        "spooled": 3,
        "reason": "ok",
        "closed_at": None,
    }


def test_closing_a_crawl_that_sent_nothing_makes_it_and_the_last_close_wins(asker: Asker, table: str) -> None:
    crawl = f"{table}%2F1"
    is_problem(asker.get(f"/v1/crawls/{crawl}"), 404)
    assert asker.close_crawl(crawl, 3).json["missing"] == 3
    assert asker.close_crawl(crawl, 0, prefer="wait=60").json["missing"] == 0
    assert asker.get(f"/v1/crawls/{crawl}").json["crawl"] == f"{table}/1"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"items": -1}',
        '{"items": "12"}',
        '{"items": true}',
        '{"items": 1.5}',
        '{"items": 1e30}',
        '{"items": NaN}',
        '{"items": 1, "reason": "\\u0000"}',
        "[" * 50_000,
    ],
)
def test_a_close_that_makes_no_sense_is_400(asker: Asker, body: str) -> None:
    answer = asker.ask("POST", "/v1/crawls/c/close", body, {"Content-Type": "application/json"})
    is_problem(answer, 400, "bad-request")


@pytest.mark.parametrize("crawl", ["%FF", "a%20b", "%C3%BC", "x" * 256, "%00"])
def test_a_crawl_that_cannot_be_is_400(asker: Asker, crawl: str) -> None:
    is_problem(asker.get(f"/v1/crawls/{crawl}"), 400, "bad-request")
    is_problem(asker.close_crawl(crawl, 1), 400, "bad-request")


def test_dead_letters_hold_the_item_as_it_was_sent(asker: Asker, table: str) -> None:
    lines = [b'{"a": 1.10, "a": [', b'[1.10,  "\xc3\xbc"]', b"\xff\x00"]
    batch = asker.send(table, *lines, ingest_crawl=f"c-{table}", prefer="wait=30").json
    letters = pages(asker, f"/v1/dead-letters?table={table}&limit=2", "dead_letters")
    assert {letter["index"] for letter in letters} == {0, 1, 2}
    for letter in letters:
        assert letter == asker.get(f"/v1/dead-letters/{letter['id']}").json
        assert (letter["table"], letter["batch"], letter["crawl"]) == (table, batch["id"], f"c-{table}")
        assert (letter["code"], letter["attempts"]) == ("invalid", 1)
        if letter["index"] == 1:
            assert letter["item"] == [1.1, "ü"]
            assert "raw" not in letter
        else:
            assert base64.b64decode(letter["raw"]) == lines[letter["index"]]
            assert "item" not in letter
    shown = {error["dead_letter"] for error in batch["errors"]}
    assert shown == {letter["id"] for letter in letters}
    exported = asker.get(f"/v1/dead-letters?table={table}&limit=1", accept="application/x-ndjson")
    assert exported.headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line) for line in exported.body.splitlines()] == letters
    assert len(pages(asker, f"/v1/dead-letters?crawl=c-{table}", "dead_letters")) == 3
    assert pages(asker, f"/v1/dead-letters?table={table}&code=23505", "dead_letters") == []
    group = next(one for one in asker.get("/v1/dead-letters/groups").json["groups"] if one["table"] == table)
    assert group == {"table": table, "code": "invalid", "column": None, "count": 3}
    is_problem(asker.get("/v1/dead-letters/0190a7e4-1111-7222-8333-444455556666"), 404)
    is_problem(asker.get("/v1/dead-letters?table=a.b.c"), 400)


async def test_tables_are_described_with_what_was_settled(server: RunningServer, sql) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY, name text)")
    asker = Asker(server.port)
    asker.send("things", {"id": 1}, {"id": 1}, b"x", prefer="wait=30")
    tables = asker.get("/v1/tables").json["tables"]
    assert tables == [
        {
            "name": "things",
            "columns": [
                {"name": "id", "type": "integer", "nullable": False},
                {"name": "name", "type": "text", "nullable": True},
            ],
            "key": ["id"],
            "mode": "upsert",
            "landing": False,
            "counts": {"inserted": 1, "updated": 0, "unchanged": 1, "failed": 1},
            "parked": None,
        }
    ]


async def test_a_table_that_nobody_can_write_is_told_of_and_goes_on_by_itself(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database) as server:
        asker = Asker(server.port)
        assert asker.send("things", {"a": 1}, prefer="wait=30").status == 200
        await sql.execute("ALTER TABLE things RENAME TO things_away")
        waiting = asker.send("things", {"a": 2}).json["id"]
        ready = asker.get("/readyz").json
        while not ready["warnings"]:
            ready = asker.get("/readyz").json
        assert ready["ready"]
        assert "things" in ready["warnings"][0]
        await sql.execute("CREATE TABLE others (a int)")
        assert asker.send("others", {"a": 1}, prefer="wait=30").status == 200
        await sql.execute("DROP TABLE others; ALTER TABLE things_away RENAME TO things")
        assert asker.settled(waiting)["inserted"] == 1
        assert asker.get("/readyz").json == {"ready": True, "reasons": [], "warnings": []}


def test_metrics_are_prometheus_text(asker: Asker, table: str) -> None:
    asker.send(table, {}, b"x", prefer="wait=30")
    answer = asker.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    text = answer.body.decode()
    assert f'ingest_items_accepted_total{{table="{table}"}} 2.0' in text
    assert f'ingest_items_settled_total{{outcome="failed",table="{table}"}} 1.0' in text
    assert "ingest_queue_items 0.0" in text


@pytest.mark.parametrize(
    ("accept", "is_ndjson"),
    [
        ("application/x-ndjson", True),
        ("APPLICATION/X-NDJSON; charset=utf-8, */*;q=0.1", True),
        ("application/json, application/x-ndjson;q=0.5", True),
        ("application/x-ndjson;q=0", False),
        ("application/x-ndjson;q=0.000, application/json", False),
        ("application/x-ndjsonx", False),
        ("*/*", False),
    ],
)
def test_accept_decides_between_a_page_and_the_export(asker: Asker, accept: str, is_ndjson: bool) -> None:
    media_type = asker.get("/v1/dead-letters?crawl=none", accept=accept).headers["Content-Type"]
    assert media_type == ("application/x-ndjson" if is_ndjson else "application/json")
