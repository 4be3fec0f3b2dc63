"""Commands over a data directory that is another user's: one line with the cause and the remedy, never a traceback."""

import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ingest_server.cli import cli
from ingest_server.errors import EmbeddedUnavailable
from ingest_server.postgres.embedded.embedded import EmbeddedPostgres
from tests.other_user import as_another_user


@pytest.fixture
def theirs(reachable_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory with a database in it, both open; a test closes what its user may not enter."""
    monkeypatch.chdir(reachable_path)
    monkeypatch.delenv("INGEST_JOURNAL_DIR")
    path = reachable_path / "theirs"
    (path / "postgres").mkdir(parents=True)
    path.chmod(0o755)
    yield path
    path.chmod(0o700)
    (path / "postgres").chmod(0o700)


def test_the_doctor_over_a_directory_that_may_not_be_entered_finds_it(theirs: Path) -> None:
    # what Python loads only now: another user may be kept out of the place where it lies
    CliRunner().invoke(cli, ["doctor", "--data-dir", str(theirs / "none")])
    theirs.chmod(0)
    with as_another_user():
        done = CliRunner().invoke(cli, ["doctor", "--json", "--data-dir", str(theirs)])
    assert (done.exit_code, type(done.exception)) == (1, SystemExit), done.exception
    found = {one["check"]: one for one in json.loads(done.stdout)["findings"]}
    for check in ("tokens", "data directory", "journal", "database"):
        assert (found[check]["level"], bool(found[check]["remedy"])) == ("failure", True), check
    assert f"this user may not write in {theirs}" in found["journal"]["text"]
    assert "may not be entered" in found["database"]["text"]


def test_that_a_database_runs_is_not_denied_where_it_may_not_be_read(theirs: Path) -> None:
    (theirs / "postgres").chmod(0)
    with as_another_user():
        done = CliRunner().invoke(cli, ["database", "--data-dir", str(theirs)])
    assert done.exit_code == 1
    assert "whether the embedded PostgreSQL runs cannot be said: this user may not read" in done.stderr
    assert "does not run" not in done.stderr


def test_a_start_over_another_users_directory_names_its_owner(theirs: Path) -> None:
    (theirs / "postgres.users").touch(0o400)
    (theirs / "postgres.users").chmod(0o400)
    owner = pwd.getpwuid(os.geteuid()).pw_name
    with as_another_user(), pytest.raises(EmbeddedUnavailable) as error:
        EmbeddedPostgres(theirs).start()
    assert f"postgres.users: Permission denied ({theirs} belongs to {owner})" in error.value.what


def test_a_start_where_no_directory_may_be_made_is_told_too(theirs: Path) -> None:
    theirs.chmod(0o555)
    with as_another_user(), pytest.raises(EmbeddedUnavailable) as error:
        EmbeddedPostgres(theirs / "new").start()
    assert error.value.what == f"{theirs / 'new'}: Permission denied"
