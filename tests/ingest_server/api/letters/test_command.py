"""`ingest-server dead-letters …` over a running server: what it prints, its exit codes, and how it names its token."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ingest_server.cli import cli
from tests.asking import Asker
from tests.ingest_server.api.letters.asking_letters import NOBODY, Letters, line
from tests.running import RunningServer, running_server


def run(url: str, *words: str, given: bytes = b"", env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, output and errors of the command."""
    done = CliRunner().invoke(
        cli, ["dead-letters", *words, "--url", url], input=given, env={"COLUMNS": "200", **(env or {})}
    )
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def url(shared_server: RunningServer) -> str:
    return shared_server.url


def told(url: str, *words: str, code: int = 0, given: bytes = b"") -> Any:
    """What the command says for programs."""
    found, output, errors = run(url, *words, "--json", given=given)
    assert found == code, (output, errors)
    return json.loads(output)


async def test_letters_are_listed_grouped_and_shown(letters: Letters, url: str, things: str) -> None:
    buried = letters.bury(things, {"name": "Venus", "price": "a lot"}, {"name": "Mars", "price": "more"}, b"\xff")
    assert told(url, "list", "--table", things, "--limit", "2") == letters.listed(table=things, limit="2")
    assert len(told(url, "list", "--table", things, "--column", "")) == 1
    code, output, _ = run(url, "list", "--table", things, "--code", "invalid", "--column", "price")
    assert (code, output.count("\n")) == (0, 2)
    assert buried[0]["id"] in output
    code, output, _ = run(url, "groups", "--table", things)
    assert [line.split() for line in output.splitlines()] == [
        ["2", things, "invalid", "price"],
        ["1", things, "invalid", "-"],
    ]
    assert told(url, "groups", "--table", things)[0]["count"] == 2
    assert told(url, "show", buried[0]["id"]) == buried[0]
    code, output, _ = run(url, "show", buried[0]["id"])
    assert (code, '"price": "a lot"' in output) == (0, True)
    code, output, errors = run(url, "show", NOBODY)
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "404" in errors


async def test_one_is_retried_repaired_and_a_group_as_it_is(
    letters: Letters, shared_sql, url: str, things: str, tmp_path: Path
) -> None:
    buried = letters.bury(things, {"name": "a", "price": "x"}, {"name": "b", "price": -1}, {"name": "c", "price": -2})
    item = tmp_path / "item.json"
    item.write_text('{"name": "a",\n "price": 1}')
    said = told(url, "retry", buried[0]["id"], "--item", str(item))
    assert said == {"batches": 1, "letters": 1, "stored": 1, "refused": 0, "pending": 0, "left": []}
    assert told(url, "retry", "--table", things, code=1)["refused"] == 2
    await shared_sql.execute(f"ALTER TABLE {things} DROP CONSTRAINT {things}_price_check")
    code, output, _ = run(url, "retry", "--table", things, "--code", "23514")
    assert (code, output) == (0, "2 letters in 1 batches: 2 stored\n")
    assert await shared_sql.fetchval(f"SELECT count(*) FROM {things}") == 3
    code, output, errors = run(url, "retry", NOBODY)
    assert (code, errors.count("left as it is")) == (1, 1)


async def test_exported_letters_are_repaired_and_retried_as_a_file(
    letters: Letters, shared_sql, url: str, things: str, tmp_path: Path
) -> None:
    letters.bury(things, *({"name": "a", "price": f"{number}€"} for number in range(1, 4)), b"{broken")
    file = tmp_path / "letters.ndjson"
    code, output, errors = run(url, "export", "--table", things, "--to", str(file))
    assert (code, output, errors) == (0, "", "4 dead letters\n")
    assert not (tmp_path / "letters.ndjson.part").exists()
    code, output, errors = run(url, "export", "--table", things)
    assert output.encode() == file.read_bytes()
    lines = [json.loads(line) for line in output.splitlines()]
    code, _, errors = run(url, "retry", "--repaired", str(file))
    assert (code, "has no item" in errors, errors.count("\n")) == (2, True, 1)
    for one in lines:
        price = 1 if one.pop("raw", None) else one["item"]["price"][:-1]
        one["item"] = {"name": "a", "price": price}
    repaired = "\n".join(map(json.dumps, lines)).encode()
    assert told(url, "retry", "--repaired", "-", given=repaired)["stored"] == 4
    assert letters.listed(table=things) == []
    assert await shared_sql.fetchval(f"SELECT sum(price) FROM {things}") == 7
    assert told(url, "import", str(file)) == {"imported": 0, "existing": 4}


def test_letters_are_deleted_and_imported_again(letters: Letters, url: str, things: str) -> None:
    buried = letters.bury(things, *({"name": "a", "price": -number} for number in range(1, 6)))
    exported = letters.export(table=things)
    assert told(url, "delete", buried[0]["id"], NOBODY, code=1) == {"deleted": 1, "missing": 1}
    code, _, errors = run(url, "delete", "--table", things)
    assert (code, "throw 4 dead letters away" in errors) == (1, True)
    assert len(letters.listed(table=things)) == 4
    assert told(url, "delete", "--table", things, "--yes") == {"deleted": 4, "missing": 0}
    assert told(url, "import", "-", given=exported) == {"imported": 5, "existing": 0}
    code, output, _ = run(url, "import", "-", given=exported)
    assert (code, output) == (0, "0 imported, 5 were there already or are stored\n")
    code, output, errors = run(url, "import", "-", given=exported + b"{broken\n")
    assert (code, output, "letter 6" in errors, errors.count("\n")) == (2, "", True, 1)


def test_an_export_is_never_written_over(url: str, tmp_path: Path) -> None:
    file = tmp_path / "letters.ndjson"
    file.write_text("the only copy\n")
    code, output, errors = run(url, "export", "--to", str(file))
    assert (code, output, errors.count("\n")) == (2, "", 1), errors
    assert "is there already: name another file, or move that one away" in errors
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("letters.ndjson", "the only copy\n")]


def test_a_file_without_a_letter_is_not_retried_in_silence(url: str) -> None:
    code, output, errors = run(url, "retry", "--repaired", "-", given=b"\n")
    assert (code, output, errors.count("\n")) == (2, "", 1), errors
    assert "the file holds no letter" in errors


@pytest.mark.parametrize(
    "words",
    [
        ("retry",),
        ("retry", NOBODY, "--table", "a"),
        ("retry", "--table", "a", "--repaired", "b"),
        ("retry", NOBODY, NOBODY, "--item", "a"),
        ("retry", "--repaired", "/no/such/file"),
        ("retry", "--table", "a.b.c"),
        ("delete",),
        ("delete", NOBODY, "--code", "x"),
        ("import", "/no/such/file"),
        ("export", "--to", "/no/such/directory/file"),
        ("list", "--crawl", "with space"),
        ("list", "--token-file", "/no/such/file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(url: str, words: Sequence[str]) -> None:
    code, output, errors = run(url, *words)
    assert (code, output, errors.count("\n")) == (2, "", 1), errors
    assert errors.startswith("ingest-server: ")


def test_no_server_is_one_line_and_exit_code_2(unused_tcp_port: int) -> None:
    for url in (f"http://127.0.0.1:{unused_tcp_port}", "ftp://x", "http://user@host"):
        code, output, errors = run(url, "groups")
        assert (code, output, errors.count("\n")) == (2, "", 1), errors


def test_the_token_comes_from_the_environment_or_a_file_and_never_from_the_command_line(
    database: str, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.toml"
    made = subprocess.run(
        [
            sys.executable,
            "-m",
            "ingest_server",
            "tokens",
            "create",
            "shop",
            "--table",
            "offers",
            "--tokens-file",
            str(tokens),
            "--json",
        ],
        capture_output=True,
        check=True,
        timeout=60,
    )
    token = json.loads(made.stdout)["token"]
    file = tmp_path / "token"
    file.write_text(f"{token}\n")
    with running_server("--database", database, "--tokens-file", str(tokens)) as server:
        code, output, errors = run(server.url, "groups")
        assert (code, output, "INGEST_TOKEN" in errors, errors.count("\n")) == (2, "", True, 1)
        assert run(server.url, "groups", "--json", env={"INGEST_TOKEN": token})[:2] == (0, "[]\n")
        assert run(server.url, "groups", "--token-file", str(file))[0] == 0
        assert run(server.url, "groups", "--token-file", str(file), env={"INGEST_TOKEN": "wrong"})[0] == 0
        assert Asker(server.port).get("/v1/dead-letters").status == 401
        foreign = json.dumps(line(table="others")).encode()
        code, _, errors = run(server.url, "import", "-", "--token-file", str(file), given=foreign)
        assert (code, "403" in errors) == (2, True)
        code, _, errors = run(server.url, "retry", "--table", "others", "--token-file", str(file))
        assert (code, "403" in errors) == (2, True)
    code, _, errors = run("http://127.0.0.1:1", "groups", "--token", token)
    assert code == 2
    assert "No such option" in errors
