"""Parked tables at the real server: what waits, what is answered, what others notice, and how it goes on."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.asking import Asker, until
from tests.ingest_server.api.problems import is_problem
from tests.running import running_server

HUNDRED = [{"a": number} for number in range(100)]


# Class 42 at every row, though the table is there and may be written.
BROKEN = """
CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nowhere(); RETURN NEW; END $$;
CREATE TRIGGER broken BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION broken()
"""


def table_of(asker: Asker, name: str) -> dict:
    return {one["name"]: one for one in asker.get("/v1/tables").json["tables"]}[name]


def is_parked(asker: Asker, name: str = "things") -> bool:
    return table_of(asker, name)["parked"] is not None


def cli(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ingest_server", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@contextlib.contextmanager
def serving(database: str, journal: Path, *arguments: str) -> Iterator[Asker]:
    with running_server("--database", database, "--journal-dir", str(journal), *arguments) as running:
        asker = Asker(running.port)
        yield asker


async def test_a_table_that_is_dropped_is_parked_and_goes_on_by_itself_once_it_is_there(
    database: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await sql.execute("CREATE TABLE things (a int); CREATE TABLE others (a int)")
    with running_server("--database", database, "--journal-dir", str(tmp_path)) as running:
        asker = Asker(running.port)
        assert asker.send("things", {"a": 0}, prefer="wait=30").status == 200
        await sql.execute("ALTER TABLE things RENAME TO gone")
        sent = [asker.send("things", {"a": number}).json["id"] for number in (1,)]
        until(lambda: is_parked(asker))
        parked = table_of(asker, "things")["parked"]
        assert (parked["cause"], parked["code"], parked["column"], parked["waiting"]) == (
            *("configuration", "42P01", None),
            len(sent),
        )
        ready = asker.get("/readyz")
        assert ready.status == 200
        assert any("table things is parked" in warning for warning in ready.json["warnings"])
        assert 'ingest_table_parked{table="things"} 1.0' in asker.get("/metrics").body.decode()
        assert asker.send("others", {"a": 1}, prefer="wait=30").status == 200
        await sql.execute("ALTER TABLE gone RENAME TO things")
        assert asker.settled(sent[0])["succeeded"] == 1
        until(lambda: not is_parked(asker))
        code, log = running.terminate()
    assert code == 0
    assert log.count("table things is parked") == 1
    assert log.count("table things goes on") == 1
    assert await sql.fetchval("SELECT count(*) FROM ingest.parked_tables") == 0
    assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == 0


async def test_a_table_that_its_options_do_not_fit_is_parked_with_the_remedy_by_its_first_batch(
    database: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    (tmp_path / "ingest.toml").write_text('[table.things]\nmode = "upsert"\n')
    arguments = ("--database", database, "--journal-dir", str(tmp_path), "--config", str(tmp_path / "ingest.toml"))
    with running_server(*arguments) as running:
        asker = Asker(running.port)
        sent = asker.send("things", {"a": 1})
        assert sent.status == 202
        until(lambda: is_parked(asker))
        assert any("needs a primary key" in warning for warning in asker.get("/readyz").json["warnings"])
        strict = is_problem(asker.send("things", {"a": 2}, prefer="handling=strict"), 503)
        assert (strict["table"], "needs a primary key" in strict["detail"]) == ("things", True)
        await sql.execute("ALTER TABLE things ADD PRIMARY KEY (a)")
        assert asker.settled(sent.json["id"])["inserted"] == 1
        _, log = running.terminate()
    assert "needs a primary key: add one" in log


async def test_a_table_that_refuses_nearly_everything_waits_for_resume_over_a_restart(
    database: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    """A migration forgotten: price became NOT NULL, and the crawl does not send it."""
    await sql.execute("CREATE TABLE things (a int, price int NOT NULL); CREATE TABLE others (a int)")
    with serving(database, tmp_path, "--workers", "1") as asker:
        sent = [asker.send("things", *HUNDRED).json["id"] for _ in range(15)]
        until(lambda: is_parked(asker))
        parked = table_of(asker, "things")["parked"]
        assert (parked["cause"], parked["column"]) == ("refused", "price")
        until(lambda: table_of(asker, "things")["parked"]["waiting"] == 6)
        assert [asker.settled(batch)["failed"] for batch in sent[:9]] == [100] * 9
        assert asker.send("others", {"a": 1}, prefer="wait=30").status == 200
    assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == 900
    listed = cli("tables", "list", "--database", database)
    assert listed.returncode == 1, listed.stderr
    assert "things: parked since" in listed.stdout
    assert "others: append" in listed.stdout
    with serving(database, tmp_path) as asker:
        until(lambda: table_of(asker, "things")["parked"]["waiting"] == 6)
        assert {asker.get(f"/v1/batches/{batch}").json["status"] for batch in sent[9:]} == {"queued"}
        await sql.execute("ALTER TABLE things ALTER price DROP NOT NULL")
        resumed = cli("tables", "resume", "things", "--database", database)
        assert (resumed.returncode, resumed.stdout) == (0, "table things goes on\n"), resumed.stderr
        assert [asker.settled(batch)["succeeded"] for batch in sent[9:]] == [100] * 6
        assert cli("tables", "resume", "things", "--database", database).returncode == 1
        assert cli("tables", "list", "--parked", "--database", database).returncode == 0
    assert await sql.fetchval("SELECT count(*) FROM things") == 600
    assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == 900


async def test_resume_over_http_is_heard_by_every_server_of_the_database(
    database: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await sql.execute("CREATE TABLE things (a int, price int NOT NULL)")
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    with serving(database, tmp_path / "here") as here, serving(database, tmp_path / "there") as there:
        for _ in range(15):
            here.send("things", *HUNDRED)
        until(lambda: is_parked(here))
        until(lambda: is_parked(there))
        waits = there.send("things", {"a": 1, "price": 1}).json["id"]
        until(lambda: table_of(there, "things")["parked"]["waiting"] == 1)
        await sql.execute("ALTER TABLE things ALTER price DROP NOT NULL")
        answer = here.ask("POST", "/v1/tables/things/resume")
        assert answer.status == 200, answer.body
        assert (answer.json["table"], answer.json["resumed"]) == ("things", True)
        assert there.settled(waits)["succeeded"] == 1
        until(lambda: not is_parked(there))
        assert here.ask("POST", "/v1/tables/things/resume").json["resumed"] is False
        is_problem(here.ask("POST", "/v1/tables/nowhere/resume"), 404)


def test_a_table_that_is_not_there_cannot_go_on(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGEST_CREATE_TABLES", "on")  # a table that would be made is none yet
    said = cli("tables", "resume", "nowhere", "--database", database)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == "ingest-server: there is no table nowhere: see ingest-server tables list\n"


@pytest.mark.parametrize("journal", ["on", "off"])
async def test_past_its_share_a_parked_table_is_503_alone_and_others_do_not_notice(
    database: str, sql: asyncpg.Connection, tmp_path: Path, journal: str
) -> None:
    await sql.execute("CREATE TABLE things (a int); CREATE TABLE others (a int)")
    room = ("--journal", "off", "--queue-items", "100") if journal == "off" else ("--journal-bytes", "450000")
    with serving(database, tmp_path, *room, "--workers", "1", "--drain-timeout", "0.1") as asker:
        assert asker.send("things", {"a": 0}, prefer="wait=30").status == 200
        await sql.execute(BROKEN)
        asker.send("things", {"a": 1})
        until(lambda: is_parked(asker))
        waiting = []
        while len(waiting) < 110:
            answer = asker.send("others", {"a": 1}, prefer="wait=30")
            assert answer.status == 200
            answer = asker.send("things", {"a": 1})
            if answer.status != 202:
                break
            waiting.append(answer.json["id"])
        problem = is_problem(answer, 503)
        assert problem["table"] == "things"
        assert int(answer.headers["Retry-After"]) >= 1
        # A quarter, with the one that waited already: of 100 items, or of the journal's bytes with 4 KiB a batch on top.
        assert len(waiting) + 1 == (25 if journal == "off" else 450_000 // 4 // (4096 + len(b'{"a":1}\n')))
        for _ in range(10):
            assert asker.send("others", {"a": 1}, prefer="wait=30").status == 200
        assert asker.get("/readyz").status == 200
        assert is_parked(asker)
    assert await sql.fetchval("SELECT count(*) FROM others") == len(waiting) + 11
    assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == 0
