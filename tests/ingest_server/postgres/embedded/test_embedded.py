"""The embedded PostgreSQL: shared, found again, and nothing outside its directory changes or stays."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from ingest_server.errors import EmbeddedUnavailable
from ingest_server.postgres.embedded import account, binaries, embedded
from ingest_server.postgres.embedded.embedded import EmbeddedPostgres, temporary_postgres


def ask(dsn: str, question: str = "SELECT 1") -> object:
    async def asked() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()

    return asyncio.run(asked())


def modes(path: Path) -> list[tuple[Path, int, int]]:
    return [(place, place.stat().st_mode, place.stat().st_uid) for place in (path, *path.parents)]


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the account that PostgreSQL runs as may go; pytest's own directories are closed to others."""
    path = Path(tempfile.mkdtemp(prefix="ingest-test-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


ODD = ["plain", "a b 'c' \"d\" $HOME `id` \\ ünï, e", "x" * 120 + "/" + "y" * 200]


@pytest.mark.parametrize("name", ODD, ids=["plain", "odd", "long"])
def test_it_is_started_shared_stopped_and_found_again(place: Path, name: str) -> None:
    directory = place / name
    before = modes(place)
    one, two = EmbeddedPostgres(directory), EmbeddedPostgres(directory)
    assert one.start() == two.start() == one.start()
    ask(one.dsn, "CREATE TABLE kept ()")
    one.stop()
    assert ask(two.dsn) == 1
    two.stop()
    with pytest.raises(OSError, match=r"No such file|Connect call failed"):
        ask(two.dsn)
    one.start()
    assert ask(one.dsn, "SELECT count(*) FROM kept") == 0
    sockets = one._sockets
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    one.stop()
    one.stop()
    assert not sockets.exists()
    assert modes(place) == before
    assert {path.name for path in directory.iterdir()} == {"postgres", "postgres.lock", "postgres.users"}


def test_it_survives_its_user_and_another_temporary_directory(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed leaves the server running; the next one attaches to it, wherever its own TMPDIR points."""
    code = (
        "import os, signal, sys; from pathlib import Path; from ingest_server.postgres.embedded.embedded import EmbeddedPostgres;"
        "EmbeddedPostgres(Path(sys.argv[1])).start(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(place / "data")], check=False)
    assert killed.returncode == -signal.SIGKILL
    other = place / "tmp"
    other.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(other))
    server = EmbeddedPostgres(place / "data")
    server.start()
    assert ask(server.dsn) == 1
    assert not list(other.iterdir())
    server.stop()
    with pytest.raises(OSError, match=r"No such file|Connect call failed"):
        ask(server.dsn)


def test_an_odd_temporary_directory_is_not_used_for_sockets(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = place / "tmp, odd"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    server = EmbeddedPostgres(place / "data")
    server.start()
    assert ask(server.dsn) == 1
    server.stop()
    assert not list(odd.iterdir())


def test_a_process_number_that_belongs_to_somebody_else_by_now(place: Path) -> None:
    """As in a container that starts again: the file names a process, and it is not PostgreSQL."""
    server = EmbeddedPostgres(place)
    server.start()
    ask(server.dsn, "CREATE TABLE kept ()")
    server.stop()
    owner = server.data.stat()
    account = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    other = subprocess.Popen(["sleep", "60"], **account)
    try:
        file = server.data / "postmaster.pid"
        file.write_text(f"{other.pid}\n{server.data}\n1\n5432\n/nowhere\n\n 1 1\nready\n")
        server.start()
        assert ask(server.dsn, "SELECT count(*) FROM kept") == 0
        server.stop()
    finally:
        other.terminate()
        other.wait()


def test_a_killed_postmaster_is_started_again(place: Path) -> None:
    server = EmbeddedPostgres(place)
    server.start()
    ask(server.dsn, "CREATE TABLE kept ()")
    os.kill(server.pid, signal.SIGKILL)
    again = EmbeddedPostgres(place)
    for _ in range(200):  # until the backends have noticed that their parent is gone
        try:
            again.start()
            break
        except EmbeddedUnavailable:
            continue
    assert ask(again.dsn, "SELECT count(*) FROM kept") == 0
    again.stop()
    server.stop()


def test_a_socket_directory_that_somebody_else_prepared_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = place / "tmp"
    trap.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(trap))
    server = EmbeddedPostgres(place / "data")
    server.start()
    sockets = server._sockets
    server.stop()
    assert sockets.parent == trap
    sockets.mkdir(mode=0o777)
    sockets.chmod(0o777)
    owner = server.data.stat()
    os.chown(sockets, owner.st_uid, owner.st_gid)
    with pytest.raises(EmbeddedUnavailable, match="is open to others: remove"):
        server.start()
    sockets.rmdir()
    sockets.symlink_to(place)
    with pytest.raises(EmbeddedUnavailable, match="belongs to somebody else"):
        server.start()


def test_what_is_no_database_is_left_alone(place: Path) -> None:
    (place / "postgres").mkdir()
    (place / "postgres" / "thesis.txt").write_text("mine")
    with pytest.raises(EmbeddedUnavailable, match="is not empty, and no database: name another directory"):
        EmbeddedPostgres(place).start()
    assert (place / "postgres" / "thesis.txt").read_text() == "mine"


def test_what_a_killed_initdb_left_is_made_anew(place: Path) -> None:
    making = place / "postgres.making"
    making.mkdir()
    (making / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(place)
    server.start()
    assert ask(server.dsn) == 1
    server.stop()
    assert not making.exists()


def test_a_file_in_its_place_is_told_with_the_remedy(place: Path) -> None:
    (place / "file").write_text("")
    with pytest.raises(EmbeddedUnavailable, match="name another directory with --data-dir"):
        EmbeddedPostgres(place / "file").start()


def test_without_the_wheel_the_remedy_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedUnavailable, match=r"pip install 'scrapy-batching\[server,embedded\]'"):
        EmbeddedPostgres(place).start()


def test_a_user_id_without_a_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: object) -> object:
        raise KeyError

    monkeypatch.setattr(account.pwd, "getpwnam", unknown)
    monkeypatch.setattr(account.pwd, "getpwuid", unknown)
    with pytest.raises(EmbeddedUnavailable, match="/etc/passwd"):
        EmbeddedPostgres(Path("anywhere"))


def test_a_temporary_server_leaves_nothing() -> None:
    before = set(Path(tempfile.gettempdir()).iterdir())
    with temporary_postgres({"fsync": "off"}) as server:
        ours = {server._directory, server._sockets}
        assert ask(server.dsn, "SHOW fsync") == "off"
    assert not any(path.exists() for path in ours)
    assert not any(path in before for path in ours)


@pytest.mark.parametrize("others", [0o755, 0o700])
def test_as_root_only_places_that_the_account_reaches_are_used(
    place: Path, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """Nobody but root has another account; for others every place that they can write is a place."""
    closed = place / "closed"
    closed.mkdir(mode=others)
    library = place / "library"
    monkeypatch.setattr(embedded, "_LIBRARY", library)
    before = modes(closed)
    server = EmbeddedPostgres(closed / "data")
    server.start()
    assert ask(server.dsn) == 1
    server.stop()
    assert modes(closed) == before
    moved = os.geteuid() == 0 and others == 0o700
    assert (closed / "data" / "postgres").is_symlink() is moved
    assert server.data.parent == (library if moved else closed / "data")
    if moved:  # a second directory of the same path does not get the first one's data
        (closed / "data").rename(closed / "moved")
        other = EmbeddedPostgres(closed / "data")
        other.start()
        other.stop()
        assert other.data != server.data
