"""The embedded database of an older PostgreSQL: a start says what to do, and the upgrade keeps every row and the ledger."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest_server.errors import EmbeddedUnavailable, StartRefused
from ingest_server.postgres.embedded.account import Account
from ingest_server.postgres.embedded.binaries import binaries_for, major_of
from ingest_server.postgres.embedded.embedded import EmbeddedPostgres
from ingest_server.upkeep import upgrade as room
from ingest_server.upkeep.reach import Reach
from ingest_server.upkeep.upgrade import upgrade

NEW = major_of(binaries_for(Account.current()))
OLD = 16
"""What the wheel brings beside its newest server."""


def initialise(data: Path) -> None:
    """What a release with PostgreSQL 16 would have made: `_initialise` asks for a locale that it does not know yet."""
    account = Account.current()
    data.parent.mkdir(mode=0o711)
    data.mkdir(mode=0o700)
    account.give(data)
    subprocess.run(
        [binaries_for(account, OLD) / "initdb", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"],
        env={"PATH": os.defpath, "LC_ALL": "C", "HOME": "/", "PGDATA": str(data)},
        cwd=data,
        check=True,
        capture_output=True,
        user=account.uid if account.is_other else None,
        group=account.gid if account.is_other else None,
    )


def reach(directory: Path, major: int | None = None) -> tuple[EmbeddedPostgres, Reach]:
    server = EmbeddedPostgres(directory, major=major)
    server.start()
    return server, Reach(server.dsn, server.program_directory)


@pytest.fixture(scope="module")
def made_once() -> Iterator[Path]:
    """A data directory that PostgreSQL 16 made, with a table, its rows and a ledger's row in it."""
    root = Path(tempfile.mkdtemp(prefix="ingest-test-"))
    root.chmod(0o711)
    directory = root / ".ingest"
    initialise(directory / "postgres")
    server, database = reach(directory, OLD)
    try:
        database.ask("CREATE TABLE things (id bigint PRIMARY KEY, item jsonb)")
        database.ask("INSERT INTO things VALUES (1, '{\"a\": 1}')")
        database.ask(
            "CREATE SCHEMA ingest; CREATE TABLE ingest.batches (id int); INSERT INTO ingest.batches VALUES (7)"
        )
    finally:
        server.stop()
    yield directory
    shutil.rmtree(root)


@pytest.fixture
def old(made_once: Path, reachable_path: Path) -> Path:
    """A copy of it."""
    directory = reachable_path / ".ingest"
    shutil.copytree(made_once, directory)
    account = Account.current()
    for path in (directory / "postgres", *(directory / "postgres").rglob("*")):
        account.give(path)
    return directory


def kept(directory: Path) -> tuple[str, list[str], list[str]]:
    server, database = reach(directory)
    try:
        version = (server.data / "PG_VERSION").read_text().strip()
        return version, database.ask("SELECT item FROM things"), database.ask("SELECT id FROM ingest.batches")
    finally:
        server.stop()


WHOLE = (str(NEW), ['{"a": 1}'], ["7"])


def test_a_start_over_older_data_is_refused_with_the_remedy_and_the_upgrade_keeps_everything(old: Path) -> None:
    with pytest.raises(
        EmbeddedUnavailable, match=f"made by PostgreSQL {OLD}, and here PostgreSQL {NEW} is installed: ingest"
    ):
        EmbeddedPostgres(old).start()
    assert upgrade(old) == (OLD, NEW, old / f"postgres.{OLD}")
    assert kept(old) == WHOLE
    assert (old / f"postgres.{OLD}" / "PG_VERSION").read_text().strip() == str(OLD)
    assert not (old / "upgrading").exists()
    assert upgrade(old) == (NEW, NEW, None)


def test_an_upgrade_that_was_cut_off_is_begun_again_or_ended(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    # first the new database is there, and empty; then it is whole, and not yet in its place
    for step in ("read_dump", "_exchange"):
        with monkeypatch.context() as patched:
            patched.setattr(room, step, killed)
            with pytest.raises(Killed):
                upgrade(old)
    (old / "postgres").rename(old / f"postgres.{OLD}")  # killed between the two renames
    with pytest.raises(EmbeddedUnavailable, match="was cut off: ingest-server database upgrade"):
        EmbeddedPostgres(old).start()
    assert upgrade(old) == (OLD, NEW, old / f"postgres.{OLD}")
    assert kept(old) == WHOLE


def test_an_upgrade_is_refused_where_it_would_leave_something_behind(old: Path) -> None:
    server, database = reach(old, OLD)
    try:
        database.ask("CREATE ROLE reader")
        with pytest.raises(
            StartRefused, match="more than the server's own database: role reader: move it with pg_dumpall"
        ):
            upgrade(old)
        database.ask("DROP ROLE reader")
    finally:
        server.stop()
    (old / f"postgres.{OLD}").mkdir()
    with pytest.raises(StartRefused, match=f"postgres.{OLD} is there already: remove it"):
        upgrade(old)
    assert (old / "postgres" / "PG_VERSION").read_text().strip() == str(OLD)
    shutil.rmtree(old / f"postgres.{OLD}")
    assert upgrade(old)[2] is not None
    assert kept(old) == WHOLE


def test_data_of_a_version_that_is_not_in_the_wheel_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("14\n")
    with pytest.raises(EmbeddedUnavailable, match="brings no PostgreSQL 14: dump it with the release that made it"):
        upgrade(tmp_path)
