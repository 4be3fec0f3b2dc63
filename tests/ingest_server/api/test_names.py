"""The batch's name: sent again, used twice, free again."""

import asyncio
from uuid import uuid4

import pytest

from tests.asking import Answer, Asker, locked, until_blocked, wire_to
from tests.ingest_server.api.problems import is_problem
from tests.make import ndjson
from tests.running import running_server

NAME = "the-batch"


def is_replay(answer: Answer, status: int) -> dict:
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (status, "true"), answer.body
    return answer.json


async def test_a_batch_sent_again_is_stored_once_wherever_it_stands(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database, "--workers", "1") as server:
        asker = Asker(server.port)
        async with locked(sql, "things"):
            ahead = asker.send("things", {"a": 0})
            assert ahead.status == 202
            first = asker.send("things", {"a": 1}, idempotency_key=NAME)
            assert (first.status, first.json["status"]) == (202, "queued")
            waiting = is_replay(asker.send("things", {"a": 1}, idempotency_key=f'"{NAME}"', ingest_crawl="other"), 202)
            assert waiting == first.json
            view = asker.get(f"/v1/batches/{ahead.json['id']}").json
            while view["status"] != "processing":
                view = asker.get(f"/v1/batches/{ahead.json['id']}").json
        settled = asker.settled(first.json["id"])
        assert is_replay(asker.send("things", {"a": 1}, idempotency_key=NAME), 200) == settled
        answer = asker.send("things", {"a": 1}, idempotency_key=NAME, prefer="wait=5, handling=strict")
        assert is_replay(answer, 200) == settled
        assert answer.headers["Preference-Applied"] == "wait=5"
        code, log = server.terminate()
        assert code == 0, log
    with running_server("--database", database) as server:
        assert is_replay(Asker(server.port).send("things", {"a": 1}, idempotency_key=NAME), 200) == settled
    assert await sql.fetchval("SELECT array_agg(a ORDER BY a) FROM things") == [0, 1]


async def test_a_replay_waits_for_the_first(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database) as server:
        asker = Asker(server.port)
        async with locked(sql, "things"):
            assert asker.send("things", {"a": 1}, idempotency_key=NAME).status == 202
            again = asyncio.create_task(
                asyncio.to_thread(asker.send, "things", {"a": 1}, idempotency_key=NAME, prefer="wait=30")
            )
            await until_blocked(sql)
        assert is_replay(await again, 200)["inserted"] == 1


def test_the_failed_batch_is_replayed_as_207(asker: Asker, table: str) -> None:
    first = asker.send(table, {"a": 1}, b"broken", idempotency_key=f"{table}-207", prefer="wait=30")
    assert first.status == 207
    assert is_replay(asker.send(table, {"a": 1}, b"broken", idempotency_key=f"{table}-207"), 207) == first.json


@pytest.mark.parametrize("settled", [False, True])
def test_a_name_used_for_another_body_or_table_is_422(asker: Asker, table: str, settled: bool) -> None:
    wait = {"prefer": "wait=30"} if settled else {}
    assert asker.send(table, {"a": 1}, idempotency_key=table, **wait).status in (200, 202)
    is_problem(asker.send(table, {"a": 2}, idempotency_key=table), 422, "unprocessable")
    is_problem(asker.send(f"{table}_other", {"a": 1}, idempotency_key=table), 422, "unprocessable")
    assert is_replay(asker.send(table, {"a": 1}, idempotency_key=table, prefer="wait=30"), 200)["total"] == 1


def test_a_request_that_was_refused_leaves_no_name(asker: Asker, table: str) -> None:
    is_problem(asker.send(table, idempotency_key=table), 422)
    is_problem(asker.send(table, b"1", idempotency_key=table, prefer="handling=strict"), 422)
    answer = asker.send(table, {"a": 1}, idempotency_key=table, prefer="wait=30")
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (200, None)


def test_a_name_whose_body_is_being_received_is_409(asker: Asker, table: str) -> None:
    body = ndjson({"a": 1})
    with wire_to(asker.port) as slow:
        slow.begin_batch(table, len(body), f"Idempotency-Key: {table}", "Prefer: wait=30", "Expect: 100-continue")
        assert slow.read().status == 100  # the name is taken now
        again = asker.send(table, {"a": 1}, idempotency_key=table)
        is_problem(again, 409, "conflict")
        assert int(again.headers["Retry-After"]) >= 1
        assert asker.send(table, {"a": 1}, idempotency_key=f"{table}-other", prefer="wait=30").status == 200
        slow.write(body)
        assert slow.read().status == 200
    assert is_replay(asker.send(table, {"a": 1}, idempotency_key=table), 200)["inserted"] == 1


async def test_a_client_that_goes_away_in_the_middle_leaves_nothing_behind(
    asker: Asker, table: str, shared_sql
) -> None:
    with wire_to(asker.port) as gone:
        gone.begin_batch(table, 1000, f"Idempotency-Key: {table}", "Expect: 100-continue")
        assert gone.read().status == 100
        gone.write(ndjson({"a": 1}))
        while "ingest_receiving_bytes 0.0" in asker.get("/metrics").body.decode():
            pass
    answer = asker.send(table, {"a": 2}, idempotency_key=table, prefer="wait=30")
    while answer.status == 409:  # the server learns of it in its own time
        answer = asker.send(table, {"a": 2}, idempotency_key=table, prefer="wait=30")
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (200, None)
    assert "ingest_receiving_bytes 0.0" in asker.get("/metrics").body.decode()
    assert await shared_sql.fetchval(f"SELECT item->>'a' FROM {table}") == "2"


def test_a_batch_that_never_was_is_404(asker: Asker) -> None:
    never = uuid4()
    for name in (str(never), "nonsense", f"{{{never}}}", "%FF"):
        answer = asker.get(f"/v1/batches/{name}")
        is_problem(answer, 400 if name == "%FF" else 404)
