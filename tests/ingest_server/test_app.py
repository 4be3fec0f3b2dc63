"""The server as a process: how it starts, waits for PostgreSQL, and stops."""

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from ingest_server.errors import StartRefused
from ingest_server.models.loading import load_models
from ingest_server.postgres.embedded.embedded import EmbeddedPostgres, temporary_postgres
from ingest_server.settings import Settings
from tests.asking import Asker, locked, until_blocked
from tests.ingest_server.api.problems import is_problem
from tests.running import RunningServer, running_server


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "ingest_server", "run", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refusal(*arguments: str) -> str:
    """What a server says that does not start."""
    done = subprocess.run(
        # A port of its own, where none is given: 8800 may be somebody's.
        [sys.executable, "-m", "ingest_server", "run", "--port", "0", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


async def test_sigterm_settles_what_was_accepted(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database) as server:
        asker = Asker(server.port)
        async with locked(sql, "things"):
            for number in range(20):
                assert asker.send("things", {"a": number}).status == 202
            server.process.send_signal(signal.SIGTERM)
            while asker.get("/readyz").status == 200:
                pass
        _, log = server.process.communicate(timeout=30)
        assert server.process.returncode == 0, log
        assert "20 batches are settled first" in log
    assert await sql.fetchval("SELECT count(*) FROM things") == 20


async def test_a_second_sigterm_stops_at_once_and_names_what_is_not_settled(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database, "--journal", "off", "--workers", "1") as server:
        asker = Asker(server.port)
        async with locked(sql, "things"):
            first = asyncio.create_task(asyncio.to_thread(asker.send, "things", {"a": 1}, {"a": 2}, prefer="wait=30"))
            await until_blocked(sql)
            second = asker.send("things", {"a": 3}, ingest_crawl="the-crawl").json["id"]
            closing = asyncio.create_task(asyncio.to_thread(asker.close_crawl, "the-crawl", 1, prefer="wait=30"))
            while (await asyncio.to_thread(asker.get, "/v1/crawls/the-crawl")).json["expected"] is None:
                pass
            server.process.send_signal(signal.SIGTERM)
            while asker.get("/readyz").status == 200:
                pass
            server.process.send_signal(signal.SIGTERM)
            answer = await first  # whoever waits is answered
            assert (answer.status, answer.json["completed_at"]) == (202, None)
            assert (await closing).json["pending"] == 1
            _, log = server.process.communicate(timeout=30)
        assert server.process.returncode == 1
        assert "2 batches with 3 items were accepted in memory and are not settled" in log
        assert f"not settled: batch {answer.json['id']}, table things, 2 items, crawl -: " in log
        assert f"not settled: batch {second}, table things, 1 items, crawl the-crawl: " in log
    assert await sql.fetchval("SELECT count(*) FROM things") == 0


async def test_a_drain_timeout_ends_the_waiting(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database, "--journal", "off", "--drain-timeout", "0.2") as server:
        async with locked(sql, "things"):
            assert Asker(server.port).send("things", {"a": 1}).status == 202
            code, log = server.terminate()
    assert code == 1
    assert "1 batches with 1 items" in log


def test_batches_wait_while_postgresql_is_away() -> None:
    with (
        temporary_postgres({"fsync": "off"}) as postgres,
        running_server("--database", postgres.dsn, "--create-tables", "--log-level", "debug") as server,
    ):
        asker = Asker(server.port)
        assert asker.send("things", {"a": 1}, prefer="wait=30").status == 200
        postgres.stop()
        assert asker.get("/readyz").json == {
            "ready": True,
            "reasons": [],
            "warnings": ["PostgreSQL is away: batches wait"],
        }
        known = asker.send("things", {"a": 2}, idempotency_key="known")
        assert known.status == 202
        problem = is_problem(asker.send("strange", {"a": 2}), 503, "unavailable")
        assert problem["table"] == "strange"
        for path in ("/v1/tables", "/v1/dead-letters", "/v1/crawls/c", "/v1/batches", "/v1/dead-letters/groups"):
            is_problem(asker.get(path), 503)
        is_problem(asker.close_crawl("c", 1), 503)
        assert asker.get(f"/v1/batches/{known.json['id']}").status == 200
        assert asker.send("things", {"a": 2}, idempotency_key="known").headers["Idempotency-Replayed"] == "true"
        assert "ingest_sink_up 0.0" in asker.get("/metrics").body.decode()
        postgres.start()
        assert asker.settled(known.json["id"])["inserted"] == 1
        assert asker.get("/readyz").json["warnings"] == []
        code, log = server.terminate()
        assert code == 0, log
        assert "is away" in log
        assert "is back after" in log


def test_without_a_journal_a_stop_while_postgresql_is_away_waits_for_it_or_for_a_second_signal() -> None:
    with temporary_postgres({"fsync": "off"}) as postgres:
        for patient in (True, False):
            with running_server("--database", postgres.dsn, "--create-tables", "--journal", "off") as server:
                asker = Asker(server.port)
                assert asker.send("things", {"a": 0}, prefer="wait=30").status == 200
                postgres.stop()
                batch = asker.send("things", {"a": 1}).json["id"]
                server.process.send_signal(signal.SIGTERM)
                while asker.get("/readyz").status == 200:
                    pass
                if patient:
                    postgres.start()
                else:
                    server.process.send_signal(signal.SIGTERM)
                _, log = server.process.communicate(timeout=30)
                assert server.process.returncode == (0 if patient else 1), log
                assert (f"not settled: batch {batch}" in log) is not patient
        postgres.start()


def test_a_server_started_before_postgresql_waits_for_it(tmp_path: Path) -> None:
    with temporary_postgres({"fsync": "off"}) as postgres:
        postgres.stop()
        process = start("--database", postgres.dsn, "--create-tables")
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert "cannot be used yet" in process.stderr.readline()
            postgres.start()
            line = process.stdout.readline()
            assert line.startswith("listening on ")
            server = RunningServer(process, line.removeprefix("listening on ").strip())
            assert Asker(server.port).send("things", {"a": 1}, prefer="wait=30").status == 200
            assert server.terminate()[0] == 0
        finally:
            process.kill()
            process.communicate()


def test_a_server_that_waits_for_postgresql_can_be_stopped() -> None:
    process = start("--database", "postgresql://nobody@127.0.0.1:1/nothing")
    assert process.stderr is not None
    assert "127.0.0.1:1/nothing cannot be used yet" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_start_that_cannot_be_names_the_remedy(database: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in refusal("--database", database, "--port", str(port))
        made = tmp_path / "data"
        assert f"cannot listen on 127.0.0.1:{port}" in refusal("--data-dir", str(made), "--port", str(port))
        assert not made.exists(), "the port is looked at before a database is made"
    assert "host 0.0.0.0 is not loopback" in refusal("--host", "0.0.0.0")
    assert "host localhost.evil.example is not loopback" in refusal("--host", "localhost.evil.example")
    assert "no connection string" in refusal("--database", "nonsense")
    assert "there is no file" in refusal("--config", str(tmp_path / "none.toml"))
    assert "nowhere_at_all" in refusal("--database", database, "--tables", "nowhere_at_all")
    assert "workers" in refusal("--workers", "0")


def test_models_that_cannot_be_loaded_name_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_models.py").write_text("1 / 0")
    (tmp_path / "no_models.py").write_text(
        "from ingest_server import Table\nclass Base(Table, abstract=True):\n    id: int"
    )
    (tmp_path / "twice_models.py").write_text(
        "from ingest_server import Table\nclass A(Table, table='t'):\n    id: int\nclass B(Table, table='t'):\n    id: int"
    )
    # After the files are there: a finder that looked before may go on believing that they are not.
    monkeypatch.syspath_prepend(tmp_path)
    for name, said in {
        "broken_models": "fails while it is imported: ZeroDivisionError",
        "no_models": "has no model",
        "twice_models": "models A and B both name the table t",
    }.items():
        with pytest.raises(StartRefused, match=said):
            load_models(Settings.read({"tables": name}))


def test_a_base_of_models_is_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "based_models.py").write_text(
        "from ingest_server import Table\nclass Base(Table, abstract=True):\n    id: int\nclass Thing(Base):\n    name: str"
    )
    # After the files are there: a finder that looked before may go on believing that they are not.
    monkeypatch.syspath_prepend(tmp_path)
    assert [name.name for name in load_models(Settings.read({"tables": "based_models"}))] == ["thing"]


async def test_a_role_that_may_do_nothing_is_told_what_it_needs(database: str, postgres: EmbeddedPostgres, sql) -> None:
    await sql.execute("DROP SCHEMA ingest CASCADE")
    await sql.execute("CREATE ROLE nobody_much LOGIN")
    try:
        said = refusal("--database", database.replace("postgres@", "nobody_much@"), "--port", "0")
        assert "CREATE on the database" in said
    finally:
        await sql.execute("DROP ROLE nobody_much")


async def test_two_servers_share_a_database(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database) as one, running_server("--database", database) as other:
        first = Asker(one.port).send("things", {"a": 1}, idempotency_key="n", prefer="wait=30")
        again = Asker(other.port).send("things", {"a": 1}, idempotency_key="n")
        assert (again.status, again.headers["Idempotency-Replayed"], again.json) == (200, "true", first.json)
    assert await sql.fetchval("SELECT count(*) FROM things") == 1


async def test_a_batch_accepted_twice_while_the_ledger_could_not_be_asked_is_absorbed(database: str, sql) -> None:
    """Both servers accept the name; the ledger's key lets one of them write."""
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database) as one, running_server("--database", database) as other:
        async with locked(sql, "things"):
            for server in (one, other):
                assert Asker(server.port).send("things", {"a": 1}, idempotency_key="n").status == 202
            watcher = await asyncpg.connect(database)
            await until_blocked(watcher, 2)
            await watcher.close()
        views = [
            Asker(server.port)
            .get(
                "/v1/batches",
            )
            .json["batches"][0]["id"]
            for server in (one, other)
        ]
        assert views[0] == views[1]
        assert {Asker(server.port).settled(views[0])["inserted"] for server in (one, other)} == {1}
    assert await sql.fetchval("SELECT count(*) FROM things") == 1


@pytest.mark.parametrize("program", [["-m", "ingest_server"], ["-m", "ingest_server", "version"]])
def test_the_program_says_what_it_can(program: list[str]) -> None:
    done = subprocess.run([sys.executable, *program], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout
    assert "Traceback" not in done.stderr
