"""`ingest-server tokens`: made once, shown once, listed without secrets, revoked; two at once lose nothing."""

import json
import re
import stat
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ingest_server.cli import cli
from ingest_server.settings import Settings
from ingest_server.tokens.file import read_tokens
from ingest_server.tokens.grant import Known, digest

FILE = Path(".ingest/tokens.toml")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def typed(*words: str) -> Result:
    return CliRunner().invoke(cli, ["tokens", *words])


def created(*words: str) -> str:
    done = typed("create", *words)
    assert done.exit_code == 0, done.stderr
    return done.stdout.strip()


def refused(*words: str) -> str:
    done = typed(*words)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, "one line"
    return done.stderr


def test_a_token_is_shown_once_and_only_its_hash_is_kept() -> None:
    done = typed(
        "create", "shop", "--table", "a", "--table", "b.*", "--items-per-second", "5", "--bytes-per-second", "1e6"
    )
    token = done.stdout.strip()
    assert re.fullmatch(r"ingest_[\w-]{43}", token)
    assert "nobody gets in without a token" in done.stderr
    assert token not in done.stderr
    assert token not in FILE.read_text()
    assert stat.S_IMODE(FILE.stat().st_mode) == 0o600
    section = read_tokens(FILE)["shop"]
    assert section.hash == [digest(token).hex()]
    assert (section.tables, section.items_per_second, section.bytes_per_second) == (["a", "b.*"], 5, 1e6)
    assert not section.admin


def test_a_pattern_that_there_is_not_is_refused_and_nothing_is_kept() -> None:
    assert "a* is no table's name" in refused("create", "shop", "--table", "a*")
    assert not FILE.exists()


def test_one_token_replaces_another() -> None:
    old = created("shop", "--admin", "--table", "a")
    assert "say --add" in refused("create", "shop")
    assert "belong to the name" in refused("create", "shop", "--add", "--table", "b")
    new = created("shop", "--add")
    assert typed("create", "x", "--add").exit_code == 1
    known = Known(read_tokens(FILE), "public")
    assert known.find(old) == known.find(new)
    (row,) = json.loads(typed("list", "--json").stdout)["tokens"]
    assert row["ids"] == [digest(one).hex()[:8] for one in (old, new)], "oldest first"
    assert typed("revoke", "shop", "--id", row["ids"][0]).exit_code == 0
    known = Known(read_tokens(FILE), "public")
    assert (known.find(old), known.find(new) is not None) == (None, True)
    assert read_tokens(FILE)["shop"].tables == ["a"], "what is granted stays"
    assert "no token with an id" in refused("revoke", "shop", "--id", "zz")


def test_the_list_holds_no_secret_and_both_places() -> None:
    tokens = [created("shop", "--table", "a"), created("boss", "--admin", "--items-per-second", "10")]
    filed = digest("filed").hex()
    Path("ingest.toml").write_text(f'[tokens.filed]\nhash = "{filed}"\ntables = []\n')
    done = typed("list")
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert set(lines) == {"shop", "boss", "filed"}
    assert lines["boss"].endswith("every table; 10 items/s; admin")
    assert lines["filed"].endswith("no table")
    for secret in (*tokens, *(digest(one).hex() for one in tokens), filed):
        assert secret not in done.stdout + typed("list", "--json").stdout
    assert "stands in the settings' file" in refused("create", "filed")
    assert "remove [tokens.filed]" in refused("revoke", "filed")


def test_the_last_one_revoked_leaves_the_door_shut() -> None:
    assert "there are no tokens" in typed("list").stderr
    created("shop")
    done = typed("revoke", "shop")
    assert "nobody gets in" in done.stderr
    assert read_tokens(FILE) == {}
    assert FILE.exists()
    assert "nobody gets in" in typed("list").stderr
    assert "From now on" not in typed("create", "shop").stderr, "it was shut before"
    assert "there is no other" in refused("revoke", "other")


@pytest.mark.parametrize("name", ["", "a b", "-a", ".a", "a/b", "ü", "a" * 64, "a\nb"])
def test_a_name_that_cannot_own_anything_is_refused(name: str) -> None:
    assert "is no name" in refused("create", "--", name)
    assert not FILE.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--table", "a.b.c"), "name tables as"),
        (("--items-per-second", "0"), "above 0"),
        (("--bytes-per-second", "nan"), "above 0"),
        (("--items-per-second", "inf"), "above 0"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_written(words: tuple[str, ...], said: str) -> None:
    assert said in refused("create", "shop", *words)
    assert not FILE.exists()


def test_a_file_that_is_broken_is_not_written_over() -> None:
    created("shop")
    FILE.write_text("nonsense")
    assert "mend the file" in refused("create", "other")
    assert FILE.read_text() == "nonsense"


def test_the_first_token_can_be_made_for_a_server_that_may_not_start_without() -> None:
    Path("ingest.toml").write_text('host = "0.0.0.0"\n')
    assert "no tokens" in CliRunner().invoke(cli, ["run"]).stderr
    created("shop")
    assert Settings.read({}).host == "0.0.0.0"


def test_several_at_once_lose_none() -> None:
    # the commands' own lock; CliRunner swaps the process' streams, so that each thread calls what the command calls
    from ingest_server.commands.tokens import create

    def make(number: int) -> None:
        create(f"n{number}", json=True)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(10)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert set(read_tokens(FILE)) == {f"n{number}" for number in range(10)}
