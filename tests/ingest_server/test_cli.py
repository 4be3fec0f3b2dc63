"""The command line."""

import logging

import pytest
from typer.testing import CliRunner

from ingest_server import cli as program
from ingest_server.settings import Settings, environment_name, flag_name


@pytest.fixture
def served(monkeypatch) -> list[Settings]:
    seen: list[Settings] = []

    async def serve(settings: Settings, *, announce) -> int:
        seen.append(settings)
        announce("http://127.0.0.1:1")
        return 0

    monkeypatch.setattr(program, "serve", serve)
    monkeypatch.setattr(logging, "basicConfig", lambda **options: None)
    return seen


def run(*arguments: str):
    return CliRunner().invoke(program.cli, ["run", *arguments], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


def test_every_setting_is_a_flag_with_its_variable_in_the_help() -> None:
    text = run("--help").output
    for name, field in Settings.model_fields.items():
        if name != "table":
            assert flag_name(name) in text
            assert environment_name(name) in " ".join(text.split())
            assert field.description


def test_flags_become_settings(served: list[Settings], tmp_path) -> None:
    config = tmp_path / "other.toml"
    config.write_text("workers = 7\n")
    done = run("--port", "0", "--schema", "own", "--no-create-tables", "--tables", "a,b", "--config", str(config))
    assert (done.exit_code, done.output) == (0, "listening on http://127.0.0.1:1\n")
    (settings,) = served
    assert (settings.port, settings.schema_, settings.create_tables, settings.tables, settings.workers) == (
        0,
        "own",
        False,
        ["a", "b"],
        7,
    )


def test_a_mistake_is_one_line_and_exit_code_1(served: list[Settings]) -> None:
    done = run("--workers", "none")
    assert done.exit_code == 1
    assert done.output.startswith("ingest-server: settings: --workers none: write a whole number")
    assert done.output.count("\n") == 1
    assert served == []


def test_a_flag_that_is_not_there_is_a_mistake_of_use(served: list[Settings]) -> None:
    assert run("--nonsense").exit_code == 2
    assert served == []


def test_a_fact_is_one_line_whatever_a_table_is_called() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "table %s", ("a\n2026 ERROR forged\x1b[2J→ü",), None)
    assert program._OneLine("%(levelname)s %(message)s").format(record) == "INFO table a\\n2026 ERROR forged\\x1b[2J→ü"


def test_psql_without_a_database_says_where_to_start_it(tmp_path) -> None:
    done = CliRunner().invoke(program.cli, ["psql", "--data-dir", str(tmp_path / "none"), "-c", "SELECT 1"])
    assert done.exit_code == 1
    assert f"there is no embedded PostgreSQL in {tmp_path / 'none'}: start where the server was started" in done.output
    assert "before psql's own arguments" in done.output
    assert not (tmp_path / "none").exists()
