"""The server with its journal, as processes that are killed, stopped and put side by side."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ingest_server.postgres.embedded.embedded import temporary_postgres
from tests.asking import Asker, locked, until_blocked
from tests.ingest_server.api.test_overload import is_overload
from tests.ingest_server.postgres.stores import frozen
from tests.journals import files, names
from tests.running import RunningServer, running_server


def arguments(dsn: str, path: Path, *more: str) -> tuple[str, ...]:
    return ("--database", dsn, "--create-tables", "--journal-dir", str(path), *more)


async def until_count(sql, table: str, count: int) -> None:
    async with asyncio.timeout(30):
        while await sql.fetchval(f"SELECT count(*) FROM {table}") < count:
            pass


def kill(server: RunningServer) -> None:
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(30)


def test_what_was_journaled_outlives_sigkill_and_an_outage(tmp_path: Path) -> None:
    with temporary_postgres({"fsync": "off"}) as postgres:
        with running_server(*arguments(postgres.dsn, tmp_path)) as server:
            asker = Asker(server.port)
            assert asker.send("things", {"a": 0}, prefer="wait=30").status == 200
            postgres.stop()
            sent = [asker.send("things", {"a": number}, {"a": -number}) for number in range(1, 31)]
            assert {(one.status, one.json["ack"]) for one in sent} == {(202, "journaled")}
            assert asker.get("/readyz").status == 200
            kill(server)
        postgres.start()
        with running_server(*arguments(postgres.dsn, tmp_path)) as server:
            asker = Asker(server.port)
            for one in sent:
                assert asker.settled(one.json["id"])["inserted"] == 2
            again = asker.send("things", {"a": 30}, {"a": -30}, idempotency_key=sent[-1].json["id"])
            assert (again.status, again.headers["Idempotency-Replayed"]) == (200, "true")
            code, log = server.terminate()
        assert (code, "30 batches come back from the journal" in log) == (0, True), log
        assert names(tmp_path) == []


async def test_a_batch_that_came_back_is_known_before_it_is_settled(database: str, sql, tmp_path: Path) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    async with locked(sql, "things"):
        with running_server(*arguments(database, tmp_path, "--workers", "1")) as server:
            sent = Asker(server.port).send("things", {"a": 1}, ingest_crawl="c").json["id"]
            kill(server)
        with running_server(*arguments(database, tmp_path, "--workers", "1")) as server:
            asker = Asker(server.port)
            view = asker.get(f"/v1/batches/{sent}").json
            assert (view["ack"], view["completed_at"], view["crawl"]) == ("journaled", None, "c")
            again = asker.send("things", {"a": 1}, idempotency_key=sent)
            assert (again.status, again.headers["Idempotency-Replayed"]) == (202, "true")
            assert asker.send("things", {"a": 2}, idempotency_key=sent).status == 422
            assert (await asyncio.to_thread(asker.get, "/v1/crawls/c")).json["pending"] == 1
            kill(server)


async def test_a_survivor_adopts_what_a_killed_server_left(database: str, sql, tmp_path: Path) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with (
        running_server(*arguments(database, tmp_path)) as survivor,
        running_server(*arguments(database, tmp_path)) as victim,
    ):
        async with locked(sql, "things"):
            for number in range(10):
                assert Asker(victim.port).send("things", {"a": number}).status == 202
            kill(victim)
        await until_count(sql, "things", 10)
        assert "ingest_journal_adopted_total 10.0" in Asker(survivor.port).get("/metrics").body.decode()
        code, log = survivor.terminate()
        assert code == 0, log
    assert await sql.fetchval("SELECT count(*) FROM things") == 10
    assert names(tmp_path) == []


def test_a_full_journal_is_503_until_there_is_room(tmp_path: Path) -> None:
    with (
        temporary_postgres({"fsync": "off"}) as postgres,
        running_server(*arguments(postgres.dsn, tmp_path, "--journal-bytes", "60000")) as server,
    ):
        asker = Asker(server.port)
        assert asker.send("things", {"a": 0}, prefer="wait=30").status == 200
        postgres.stop()
        accepted = 0
        while (answer := asker.send("things", {"a": accepted}, idempotency_key=f"n{accepted}")).status == 202:
            accepted += 1
        is_overload(answer, "the journal is full")
        assert accepted == 14
        ready = asker.get("/readyz")
        assert (ready.status, "the journal is full" in ready.json["reasons"][0]) == (503, True)
        postgres.start()
        while asker.get("/readyz").status == 503:
            pass
        assert asker.send("things", {"a": 14}, idempotency_key="n14", prefer="wait=30").json["inserted"] == 1
        assert server.terminate()[0] == 0


_SMALL_FILES = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
sys.argv[0] = "ingest-server"
runpy.run_module("ingest_server", run_name="__main__")
"""


def filled_up(asker: Asker) -> int:
    """How many batches the journal took until its disk was full."""
    accepted = 0
    while (answer := asker.send("things", {"a": f"{accepted} {'x' * 20_000}"})).status == 202:
        accepted += 1
    is_overload(answer, "the journal's disk: ")
    assert 0 < accepted < 20
    return accepted


async def test_a_disk_that_takes_no_more_is_503_and_what_was_promised_is_there(
    database: str, sql, tmp_path: Path
) -> None:
    await sql.execute("CREATE TABLE things (a text)")
    with running_server(*arguments(database, tmp_path), program=("-c", _SMALL_FILES)) as server:
        asker = Asker(server.port)
        async with locked(sql, "things"):
            accepted = filled_up(asker)
            assert "the journal's disk: " in asker.get("/readyz").json["reasons"][0]
            kill(server)
    with running_server(*arguments(database, tmp_path)) as server:
        await until_count(sql, "things", accepted)
        assert Asker(server.port).send("things", {"a": "y"}, prefer="wait=30").status == 200
        code, log = server.terminate()
    assert code == 0, log
    assert await sql.fetchval("SELECT count(*) FROM things") == accepted + 1


async def test_a_journal_that_filled_its_disk_takes_batches_in_again_once_they_are_settled(
    database: str, sql, tmp_path: Path
) -> None:
    """Not even a deletion can be written there: without a new file it would be 503 until somebody restarts the server."""
    await sql.execute("CREATE TABLE things (a text)")
    with running_server(*arguments(database, tmp_path), program=("-c", _SMALL_FILES)) as server:
        asker = Asker(server.port)
        async with locked(sql, "things"):
            accepted = filled_up(asker)
        await until_count(sql, "things", accepted)
        while (ready := asker.get("/readyz")).status == 503:
            assert "the journal's disk: " in ready.json["reasons"][0]
        assert asker.send("things", {"a": "y"}, prefer="wait=30").status == 200
        code, log = server.terminate()
    assert code == 0, log
    assert await sql.fetchval("SELECT count(*) FROM things") == accepted + 1
    assert files(tmp_path) == [], "nothing waits: no file stays"


def test_a_stop_while_postgresql_is_away_leaves_the_batches_to_the_next_start(tmp_path: Path) -> None:
    with temporary_postgres({"fsync": "off"}) as postgres:
        with running_server(*arguments(postgres.dsn, tmp_path)) as server:
            asker = Asker(server.port)
            assert asker.send("things", {"a": 0}, prefer="wait=30").status == 200
            postgres.stop()
            sent = asker.send("things", {"a": 1}, {"a": 2}).json["id"]
            while "ingest_sink_up 1.0" in asker.get("/metrics").body.decode():
                pass
            code, log = server.terminate(seconds=10)
        assert code == 0
        assert "1 batches with 2 items stay in the journal: the next start settles them" in log
        assert "again" not in log
        postgres.start()
        with running_server(*arguments(postgres.dsn, tmp_path)) as server:
            assert Asker(server.port).settled(sent)["inserted"] == 2


async def test_a_second_signal_and_a_drain_timeout_lose_nothing(database: str, sql, tmp_path: Path) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    async with locked(sql, "things"):
        with running_server(*arguments(database, tmp_path, "--drain-timeout", "0.2")) as server:
            assert Asker(server.port).send("things", {"a": 1}).status == 202
            code, log = server.terminate()
        assert (code, "1 batches with 1 items stay in the journal" in log) == (0, True)
        with running_server(*arguments(database, tmp_path)) as server:
            asker = Asker(server.port)
            waiting = asyncio.create_task(asyncio.to_thread(asker.send, "things", {"a": 2}, prefer="wait=30"))
            await until_blocked(sql, 2)
            server.process.send_signal(signal.SIGTERM)
            while asker.get("/readyz").status == 200:
                pass
            server.process.send_signal(signal.SIGTERM)
            answer = await waiting
            assert (answer.status, answer.json["ack"]) == (202, "journaled"), "whoever waits is answered"
            _, log = server.process.communicate(timeout=30)
        assert (server.process.returncode, "2 batches with 2 items stay in the journal" in log) == (0, True)
    with running_server(*arguments(database, tmp_path)) as server:
        await until_count(sql, "things", 2)
        assert server.terminate()[0] == 0
    assert await sql.fetchval("SELECT array_agg(a ORDER BY a) FROM things") == [1, 2]


async def test_a_table_that_nobody_can_write_holds_no_stop(database: str, sql, tmp_path: Path) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database, "--journal-dir", str(tmp_path)) as server:
        asker = Asker(server.port)
        assert asker.send("things", {"a": 1}, prefer="wait=30").status == 200
        await sql.execute("DROP TABLE things")
        assert asker.send("things", {"a": 2}).status == 202
        while not asker.get("/readyz").json["warnings"]:
            pass
        code, log = server.terminate(seconds=10)
    assert (code, "1 batches with 1 items stay in the journal" in log) == (0, True)


@pytest.mark.parametrize("harm", ["garbage", "short"])
async def test_a_damaged_journal_never_blocks_the_start(database: str, sql, tmp_path: Path, harm: str) -> None:
    await sql.execute("CREATE TABLE things (a text)")
    async with locked(sql, "things"):
        with running_server(*arguments(database, tmp_path, "--drain-timeout", "0.01")) as server:
            for number in range(40):
                assert Asker(server.port).send("things", {"a": f"{number} {'x' * 20_000}"}).status == 202
            assert server.terminate()[0] == 0
    (file,) = files(tmp_path)
    if harm == "garbage":
        file.write_bytes(os.urandom(50_000))
    else:
        os.truncate(file, file.stat().st_size // 2)
    with running_server(*arguments(database, tmp_path)) as server:
        await until_count(sql, "things", 0 if harm == "garbage" else 12)
        assert Asker(server.port).send("things", {"a": "y"}, prefer="wait=30").status == 200
        code, log = server.terminate()
    assert code == 0
    assert "a damaged journal is kept as" in log
    assert names(tmp_path) == [f"{file.name}.damaged"]


async def test_without_a_journal_the_answer_says_memory(database: str, tmp_path: Path) -> None:
    with running_server(*arguments(database, tmp_path / "none", "--journal", "off")) as server:
        assert Asker(server.port).send("things", {"a": 1}).json["ack"] == "memory"
        assert not (tmp_path / "none").exists()
        assert "ingest_journal_bytes " not in Asker(server.port).get("/metrics").body.decode()


def test_a_journal_that_cannot_be_had_refuses_the_start(database: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "ingest_server", "run", "--port", "0", *arguments(database, tmp_path / "file")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "--journal off" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_frozen_postgresql_keeps_no_sender_waiting_and_holds_no_stop(tmp_path: Path) -> None:
    with temporary_postgres({"fsync": "off"}) as postgres:
        with running_server(*arguments(postgres.dsn, tmp_path, "--drain-timeout", "0.1")) as server:
            asker = Asker(server.port)
            assert asker.send("things", {"a": 0}, prefer="wait=30").status == 200
            with frozen(postgres):
                sent = [asker.send("things", {"a": number}, idempotency_key=f"n{number}") for number in range(1, 9)]
                assert {(one.status, one.json["ack"]) for one in sent} == {(202, "journaled")}
                assert asker.get("/readyz").status == 200
                assert server.terminate()[0] == 0
        with running_server(*arguments(postgres.dsn, tmp_path)) as server:
            asker = Asker(server.port)
            assert [asker.settled(one.json["id"])["inserted"] for one in sent] == [1] * 8
