"""`ingest-server database`: the URI, psql, backup while a server runs, and what a restore gives back, by the real commands."""

import contextlib
import itertools
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from typer.testing import CliRunner

from ingest_server.cli import cli
from ingest_server.postgres.embedded.account import Account
from ingest_server.settings import Settings
from ingest_server.upkeep.reach import existing
from tests.asking import Asker
from tests.running import RunningServer, running_server


def command(*words: str, cwd: Path, **env: str) -> tuple[int, str, str]:
    """`ingest-server` with these words, in this directory: exit code, standard output, standard error."""
    with contextlib.chdir(cwd):
        done = CliRunner().invoke(cli, words, env={"NO_COLOR": "1", **env})
    return done.exit_code, done.stdout, done.stderr


def asked(place: Path, query: str) -> list[str]:
    with existing(Settings.read({"data_dir": place / ".ingest"})) as reach:
        return reach.ask(query)


def send(server: RunningServer, *items: object, name: str) -> int:
    return Asker(server.port).send("things", *items, idempotency_key=name, prefer="wait=20").status


def test_a_backup_of_a_running_server_is_restored_and_the_ledger_with_it(reachable_path: Path) -> None:
    """What docs/operations.md says of a restore: what the ledger has is absorbed, what it forgot is stored when it is sent
    again, and what waits in the journal is settled."""
    before, after = str(uuid4()), str(uuid4())
    place = reachable_path
    with running_server("--data-dir", ".ingest", cwd=place) as server:
        code, uri, _ = command("database", cwd=place)
        assert code == 0
        assert uri.startswith("postgresql://postgres@/postgres?host=")
        assert send(server, {"a": 1}, {"a": 2}, name=before) == 200
        code, said, error = command("database", "backup", "one.dump", cwd=place)
        assert (code, error) == (0, "")
        assert said.startswith("one.dump: ")
        assert stat.S_IMODE((place / "one.dump").stat().st_mode) == 0o600
        assert command("database", "backup", "one.dump", cwd=place)[0] == 1, "a backup is never written over"
        assert send(server, {"a": 3}, name=after) == 200
        code, _, error = command("database", "restore", "one.dump", cwd=place)
        assert code == 1
        assert "an ingest-server works with this database: stop it" in error
        with locked(uri.strip(), "things"):
            waiting = Asker(server.port).send("things", {"a": 4}).json
            assert waiting["ack"] == "journaled"
            server.kill()
    assert asked(place, "SELECT count(*) FROM things") == ["3"]
    code, _, error = command("database", cwd=place)
    assert code == 1
    assert "does not run: ingest-server run starts it" in error
    code, _, error = command("database", "restore", "one.dump", cwd=place)
    assert code == 1
    assert "the database is not empty: it has ingest." in error

    # the data is lost; the journal is on another disk, say, and stays where it is
    shutil.move((place / ".ingest" / "postgres").resolve(), place / "away")
    (place / ".ingest" / "postgres").unlink(missing_ok=True)
    code, said, error = command("database", "restore", "one.dump", cwd=place)
    assert (code, error) == (0, "")
    assert "restored" in said
    assert asked(place, "SELECT count(*) FROM things") == ["2"]
    with running_server("--data-dir", ".ingest", cwd=place) as server:
        assert send(server, {"a": 1}, {"a": 2}, name=before) == 200
        assert send(server, {"a": 3}, name=after) == 200
        Asker(server.port).settled(waiting["id"])
        figures = Asker(server.port).get("/metrics").body.decode()
        assert "ingest_accept_to_commit_seconds_count 2.0" in figures, (
            "the journal's one counts from when it was accepted"
        )
        assert server.terminate()[0] == 0
    assert asked(place, "SELECT item->>'a' FROM things ORDER BY 1") == ["1", "2", "3", "4"]


@contextlib.contextmanager
def locked(dsn: str, table: str) -> Iterator[None]:
    """Nobody writes the table meanwhile."""
    with psycopg.connect(dsn) as connection:
        connection.execute(f"LOCK TABLE {table}")
        yield


def test_backups_that_are_made_while_batches_flow_hold_whole_batches_only(reachable_path: Path) -> None:
    """A dump, and a base backup with PostgreSQL's own program: rows and ledger are of one moment."""
    place, enough, stop = reachable_path, threading.Event(), threading.Event()

    def flow(server: RunningServer) -> None:
        for number in itertools.count():
            assert send(server, *({"a": one} for one in range(10)), name=str(uuid4())) == 200
            if number == 5:
                enough.set()
            if stop.is_set():
                return

    with running_server("--data-dir", ".ingest", cwd=place) as server, ThreadPoolExecutor(2) as threads:
        flows = [threads.submit(flow, server) for _ in range(2)]
        assert enough.wait(20)
        assert command("database", "backup", "one.dump", cwd=place)[0] == 0
        with existing(Settings.read({"data_dir": place / ".ingest"})) as reach:
            copy = place / "base" / "postgres"
            copy.parent.mkdir(mode=0o711)
            reach.run("pg_basebackup", f"--dbname={reach.dsn}", f"--pgdata={copy}", "--checkpoint=fast")
        stop.set()
        for one in flows:
            one.result()
    account = Account.current()
    for path in (copy, *copy.rglob("*")):
        account.give(path)
    assert command("database", "restore", "one.dump", "--data-dir", "dumped/.ingest", cwd=place)[0] == 0
    for directory in (place / "base", place / "dumped" / ".ingest"):
        with existing(Settings.read({"data_dir": directory})) as reach:
            counted = reach.ask("SELECT (SELECT count(*) FROM things), (SELECT sum(inserted) FROM ingest.batches)")
        rows, settled = counted[0].split("|")
        assert rows == settled
        assert int(rows) >= 60


def test_mistakes_are_told_with_their_remedy_and_nothing_is_made(tmp_path: Path) -> None:
    none = f"there is no embedded PostgreSQL in {tmp_path / '.ingest'}: start where the server was started"
    for words in (("database",), ("database", "psql", "-c", "SELECT 1"), ("database", "backup", "x")):
        code, _, error = command(*words, cwd=tmp_path)
        assert code == 1, words
        assert none in error, words
    code, _, error = command("database", "restore", "x", cwd=tmp_path)
    assert (code, "there is no file x: name what ingest-server database backup wrote" in error) == (1, True)
    code, _, error = command("database", "upgrade", cwd=tmp_path)
    assert (code, none.partition(":")[0] in error) == (1, True)
    code, _, error = command("database", "--data-dir", "x", "psql", cwd=tmp_path)
    assert (code, "options stand behind the command" in error) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_the_uri_of_a_database_of_ones_own_has_no_password(tmp_path: Path) -> None:
    named = "postgresql://scraper:geheim@db.example:5433/shop"
    assert command("database", cwd=tmp_path, INGEST_DATABASE=named)[:2] == (
        0,
        "postgresql://scraper@db.example:5433/shop\n",
    )
    named = "postgresql://db.example/shop?user=scraper&password=geheim&sslmode=require"
    assert command("database", cwd=tmp_path, INGEST_DATABASE=named)[:2] == (
        0,
        "postgresql://db.example/shop?user=scraper&sslmode=require\n",
    )


@pytest.mark.parametrize("room", [True, False])
def test_a_database_of_ones_own_is_backed_up_with_the_programs_on_the_path(
    database: str, tmp_path: Path, room: bool, postgres
) -> None:
    path = f"{postgres.program_directory}:{os.environ['PATH']}"
    file = tmp_path / "here" / "x.dump"
    if room:
        file.parent.mkdir()
    code, _, error = command("database", "backup", str(file), "--database", database, cwd=tmp_path, PATH=path)
    assert code == (0 if room else 1), error
    if not room:
        assert "No such file or directory: name a place with room" in error
    assert [one.name for one in tmp_path.rglob("*.dump*")] == (["x.dump"] if room else [])
