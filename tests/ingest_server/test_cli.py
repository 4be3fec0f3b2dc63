"""The command line."""

from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from ingest_server.cli import cli
from ingest_server.commands import run as run_command
from ingest_server.settings import WITHOUT_FLAG, Settings, environment_name, flag_name


@pytest.fixture
def served(monkeypatch) -> list[Settings]:
    seen: list[Settings] = []

    async def serve(settings: Settings, *, announce) -> int:
        seen.append(settings)
        announce("http://127.0.0.1:1")
        return 0

    monkeypatch.setattr(run_command, "serve", serve)
    monkeypatch.setattr(run_command, "write_logs", lambda level, form: None)
    return seen


def run(*arguments: str):
    return CliRunner().invoke(cli, ["run", *arguments], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


def test_every_setting_is_a_flag_with_its_variable_in_the_help() -> None:
    text = run("--help").output
    for name, field in Settings.model_fields.items():
        if name not in WITHOUT_FLAG:
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


def test_the_version_is_a_command_and_a_flag() -> None:
    shown = [CliRunner().invoke(cli, [words]) for words in ("version", "--version")]
    assert [(one.exit_code, one.stdout) for one in shown] == [(0, f"{version('scrapy-batching')}\n")] * 2
