"""How a fact is written: text on a terminal, JSON elsewhere, a line each, and no content."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from ingest_server.logs import Json, Text, write_logs
from ingest_server.telemetry import Telemetry
from tests import make
from tests.fakes import settled_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    """write_logs() takes the root logger's handlers away; pytest wants its own back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def line(message: str, *arguments: object, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("ingest_server", logging.INFO, "", 0, message, arguments, None)
    vars(made).update(extra)
    return made


@pytest.mark.parametrize(
    ("form", "output", "is_json"),
    [
        ("auto", Terminal(), False),
        ("auto", io.StringIO(), True),
        ("text", io.StringIO(), False),
        ("json", Terminal(), True),
    ],
)
def test_text_on_a_terminal_and_json_elsewhere_unless_told_so(form: str, output: io.StringIO, is_json: bool) -> None:
    write_logs("info", form, output=output)
    logging.getLogger("ingest_server").info("a fact")
    (written,) = output.getvalue().splitlines()
    assert written.startswith("{") == is_json


def test_a_json_line_says_when_how_loud_and_about_what() -> None:
    output = io.StringIO()
    write_logs("debug", "json", output=output)
    batch = make.batch({"a": "secret"}, crawl="c-1")
    telemetry = Telemetry()
    telemetry.accepted(batch)
    telemetry.settled(batch, settled_of(batch, inserted=0, failed=1))
    accepted, settled = (json.loads(line) for line in output.getvalue().splitlines())
    names = {"batch": str(batch.id), "table": "things", "crawl": "c-1"}
    assert names.items() <= accepted.items()
    assert names.items() <= settled.items()
    assert (accepted["level"], settled["level"], settled["logger"]) == ("debug", "warning", "ingest_server")
    assert settled["time"].endswith("Z")
    assert "1 of 1 items are dead letters" in settled["message"]
    assert "secret" not in output.getvalue()


@pytest.mark.parametrize("formatter", [Text(), Json()])
def test_of_an_error_type_and_place_are_written_and_never_its_text(formatter: logging.Formatter) -> None:
    fact = line("a task died")
    try:
        raise ValueError("Key (email)=(secret@example.com) already exists")
    except ValueError:
        fact.exc_info = sys.exc_info()
    written = formatter.format(fact)
    assert "ValueError at " in written
    assert "test_logs.py:" in written
    assert "secret" not in written
    assert "\n" not in written


def test_a_fact_is_one_line_whatever_a_table_is_called() -> None:
    name = "a\n2026 ERROR forged\x1b[2J→ü"
    assert Text().format(line("table %s", name)).endswith("INFO    table a\\n2026 ERROR forged\\x1b[2J→ü")
    written = Json().format(line("table %s", name, table=name))
    assert "\n" not in written
    assert json.loads(written)["table"] == name


def test_half_a_character_of_a_path_is_written_all_the_same() -> None:
    assert json.loads(Json().format(line("%s", "a\udcffb")))["message"] == "a\\udcffb"
