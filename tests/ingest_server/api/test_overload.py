"""Overload: answered before the body is read, with a time to come back, and never with 500."""

import asyncio
import signal

from tests.asking import Asker, locked, until_blocked, wire_to
from tests.ingest_server.api.problems import is_problem
from tests.running import running_server


def is_overload(answer, words: str) -> dict:
    problem = is_problem(answer, 503, "unavailable")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert problem["retry_after"] == int(answer.headers["Retry-After"])
    assert words in problem["detail"]
    return problem


async def test_a_full_queue_is_503_before_the_body_is_read(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database, "--journal", "off", "--queue-items", "4") as server:
        asker = Asker(server.port)
        async with locked(sql, "things"):
            # an empty queue takes any one batch
            assert asker.send("things", *[{"a": 1}] * 9).status == 202
            is_overload(asker.send("things", {"a": 2}, idempotency_key="later"), "the queue is full")
            assert asker.get("/readyz").status == 503
            assert asker.get("/livez").status == 200
            with wire_to(server.port) as wire:
                wire.begin_batch("things", 1000, "Expect: 100-continue")
                is_overload(wire.read(), "the queue is full")
            await until_blocked(sql)
        answer = asker.send("things", {"a": 2}, idempotency_key="later", prefer="wait=30")
        while answer.status == 503:
            answer = asker.send("things", {"a": 2}, idempotency_key="later", prefer="wait=30")
        assert (answer.status, answer.headers["Idempotency-Replayed"]) == (200, None)
        assert asker.get("/readyz").status == 200
    assert await sql.fetchval("SELECT count(*) FROM things") == 10


async def test_a_batch_that_the_rest_of_the_queue_cannot_hold_is_503(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a text)")
    with running_server(
        "--database", database, "--journal", "off", "--queue-items", "4", "--queue-bytes", str(2**20)
    ) as server:
        asker = Asker(server.port)
        async with locked(sql, "things"):
            assert asker.send("things", {"a": "x"}).status == 202
            is_overload(asker.send("things", *[{"a": "x"}] * 4), "the queue holds 1 items of at most 4")
            is_overload(asker.send("things", {"a": "x" * 2**20}), "no room for this batch now")
            assert asker.send("things", {"a": "y"}).status == 202
        assert server.terminate()[0] == 0
    assert await sql.fetchval("SELECT count(*) FROM things") == 2


async def test_short_memory_is_503_only_while_something_waits(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database, "--memory-limit", "1") as server:
        asker = Asker(server.port)
        async with locked(sql, "things"):
            waiting = asker.send("things", {"a": 1})
            assert waiting.status == 202
            is_overload(asker.send("things", {"a": 2}), "memory is short")
        asker.settled(waiting.json["id"])
        assert asker.send("things", {"a": 2}, prefer="wait=30").status == 200


async def test_a_server_that_is_shutting_down_refuses_and_settles(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database) as server:
        asker = Asker(server.port)
        async with locked(sql, "things"):
            waiting = asyncio.create_task(asyncio.to_thread(asker.send, "things", {"a": 1}, prefer="wait=30"))
            await until_blocked(sql)
            with wire_to(server.port) as slow:
                slow.begin_batch("things", 9, "Expect: 100-continue")
                assert slow.read().status == 100
                server.process.send_signal(signal.SIGTERM)
                while asker.get("/readyz").status == 200:
                    pass
                slow.write(b'{"a": 2}\n')  # its body arrives after the server began to stop
                is_overload(slow.read(), "shutting down")
            is_overload(asker.send("things", {"a": 3}), "shutting down")
            assert asker.get("/readyz").json["reasons"] == ["the server is shutting down"]
            assert asker.get("/livez").status == 200
            shown = asker.get("/v1/batches").json["batches"]
            assert [one["status"] for one in shown] == ["processing"]
        answer = await waiting
        assert (answer.status, answer.json["inserted"]) == (200, 1)
        _, log = server.process.communicate(timeout=30)
        assert server.process.returncode == 0, log
    assert await sql.fetchval("SELECT array_agg(a) FROM things") == [1]


async def test_a_body_that_takes_too_long_is_408(database: str) -> None:
    with running_server("--database", database, "--create-tables", "--receive-timeout", "0.5") as server:
        with wire_to(server.port) as slow:
            slow.begin_batch("things", 100, "Idempotency-Key: slow")
            is_problem(slow.read(), 408, "request-timeout")
        answer = Asker(server.port).send("things", {}, idempotency_key="slow", prefer="wait=30")
        assert (answer.status, answer.headers["Idempotency-Replayed"]) == (200, None)
