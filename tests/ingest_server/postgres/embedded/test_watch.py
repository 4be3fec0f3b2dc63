"""The embedded PostgreSQL is watched: killed by force it is started again, and what was sent is stored once."""

import asyncio
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from ingest_server.errors import EmbeddedUnavailable
from ingest_server.postgres.embedded.embedded import EmbeddedPostgres
from ingest_server.postgres.embedded.watch import watched
from tests.asking import Asker
from tests.running import running_server


@pytest.fixture
def embedded(reachable_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(reachable_path, {"fsync": "off"})
    server.start()
    yield server
    server.stop()


async def ask(dsn: str, question: str = "SELECT 1") -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def answer(dsn: str, question: str = "SELECT 1") -> object:
    """The answer, once there is somebody to give it."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await ask(dsn, question)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await hurried(0)


def again_and_again(start: Callable[[], object]) -> object:
    """Until the backends have noticed that their parent is gone."""
    for _ in range(200):
        try:
            return start()
        except EmbeddedUnavailable:
            continue
    raise AssertionError("the backends of the killed server are still there")


async def hurried(_seconds: float) -> None:
    await asyncio.sleep(0)


async def test_a_killed_postmaster_is_started_again_under_its_connection_string(
    embedded: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    await ask(embedded.dsn, "CREATE TABLE kept ()")
    busy = await asyncpg.connect(embedded.dsn)
    with caplog.at_level(logging.WARNING, "ingest_server"):
        async with watched(embedded, pause=hurried):
            for _ in range(2):
                killed = embedded.pid
                os.kill(killed, signal.SIGKILL)
                assert await answer(embedded.dsn, "SELECT count(*) FROM kept") == 0
                await until(lambda: "runs again after" in caplog.text)
                assert embedded.is_alive
                assert embedded.pid != killed
                assert "has died: starting it again" in caplog.text
                caplog.clear()
    busy.terminate()
    os.kill(embedded.pid, signal.SIGKILL)
    for _ in range(100):
        await asyncio.sleep(0)
    assert caplog.text == "", "nobody watches after the block"


async def test_two_processes_that_share_it_start_it_once_and_both_find_it(
    embedded: EmbeddedPostgres, reachable_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second attached from another TMPDIR, and is the one that starts it: still where the first looks for it."""
    other_tmp = reachable_path / "tmp"
    other_tmp.mkdir(mode=0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(other_tmp))
    other = EmbeddedPostgres(reachable_path)
    other.start()
    os.kill(embedded.pid, signal.SIGKILL)
    async with watched(other, pause=hurried):
        assert await answer(other.dsn) == 1
        await until(lambda: other.is_alive)
    pid = other.pid
    assert embedded.revive() is False
    assert embedded.pid == pid
    assert await ask(embedded.dsn) == 1
    other.stop()
    assert await ask(embedded.dsn) == 1


async def test_a_third_process_that_starts_between_listens_where_the_others_look(
    embedded: EmbeddedPostgres, reachable_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_tmp = reachable_path / "tmp"
    other_tmp.mkdir(mode=0o755)
    os.kill(embedded.pid, signal.SIGKILL)
    monkeypatch.setattr(tempfile, "tempdir", str(other_tmp))
    third = EmbeddedPostgres(reachable_path)
    again_and_again(third.start)
    assert third.dsn == embedded.dsn
    assert embedded.revive() is False
    third.stop()


async def test_data_that_is_gone_is_told_and_never_made_anew(
    embedded: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    os.kill(embedded.pid, signal.SIGKILL)
    while embedded.is_alive:
        pass
    aside = embedded.data.with_name("aside")
    embedded.data.rename(aside)
    with pytest.raises(EmbeddedUnavailable, match=r"is gone from .*: put it back"):
        embedded.revive()
    async with watched(embedded, pause=hurried):
        await until(lambda: "could not be started again (try 3)" in caplog.text)
        assert not embedded.data.exists()
        aside.rename(embedded.data)
        assert await answer(embedded.dsn) == 1


def test_one_that_was_let_go_of_is_not_started_again(embedded: EmbeddedPostgres) -> None:
    embedded.stop()
    assert embedded.is_alive is False
    assert embedded.revive() is False
    assert not (embedded.data / "postmaster.pid").exists()


def test_sockets_that_were_removed_are_made_again(embedded: EmbeddedPostgres) -> None:
    os.kill(embedded.pid, signal.SIGKILL)
    shutil.rmtree(embedded._sockets)
    assert again_and_again(embedded.revive) is True
    assert asyncio.run(ask(embedded.dsn)) == 1


def test_a_server_whose_own_postgresql_is_killed_goes_on_and_stores_everything_once(reachable_path: Path) -> None:
    with running_server("--data-dir", str(reachable_path)) as server:
        asker = Asker(server.port)
        assert asker.send("things", {"n": 0}, idempotency_key="first", prefer="wait=30").status == 200
        file = reachable_path / "postgres" / "postmaster.pid"
        os.kill(int(file.read_text().split("\n", 1)[0]), signal.SIGKILL)
        sent = []
        for number in range(1, 20):
            answered = asker.send("things", {"n": number}, idempotency_key=str(number))
            assert answered.status == 202, answered.json
            sent.append(answered.json["id"])
        for batch in sent:
            assert asker.settled(batch)["inserted"] == 1
        again = asker.send("things", {"n": 0}, idempotency_key="first", prefer="wait=30")
        assert (again.status, again.headers["Idempotency-Replayed"]) == (200, "true")
        dsn = (reachable_path / "postgres.dsn").read_text().strip()
        stored = asyncio.run(ask(dsn, "SELECT array_agg((item->>'n')::int ORDER BY id) FROM things"))
        assert sorted(stored) == list(range(20))
        assert asker.get("/readyz").json["warnings"] == []
        code, log = server.terminate()
        assert code == 0, log
        assert "has died: starting it again" in log
        assert "runs again after" in log
