import re

import orjson
import pytest
from rich.console import Console

from loadtests.soak.page import page, write_page
from loadtests.soak.results import write_json
from loadtests.soak.scenario import exit_code
from loadtests.soak.table import COLUMNS, WIDTH, checks, says, series
from loadtests.soak.verdict import SERIES
from tests.loadtests.soak.made import result
from tests.loadtests.test_page import read


def test_the_page_needs_nothing_beside_itself():
    text = page(result())
    found = read(text)
    assert found.seen.count("svg") == 1
    assert not {"script", "link", "img", "iframe", "object"} & set(found.seen)
    assert all(reference.startswith("#") for reference in found.references)
    assert re.search(r"https?://|//[a-z]|@import|url\((?!#)", text) is None


def test_the_page_holds_every_series_and_says_which_one_grows():
    text = page(result(leaking=("server_files",)))
    words = "".join(read(text).text)
    assert all(one.label in words for one in SERIES)
    assert "a <fast> one & more" in words
    assert "NOT flat: server: file handles." in words
    assert text.count('<tr class="wrong">') == 1


def test_the_same_figures_make_the_same_page(tmp_path):
    write_page(result(), tmp_path / "a" / "b.html")
    assert (tmp_path / "a" / "b.html").read_text(encoding="utf-8") == page(result())


@pytest.mark.parametrize(
    ("made", "code"),
    [
        ({}, 0),
        ({"seconds": 9}, 0),
        ({"leaking": ("connections",)}, 1),
        ({"lost": 1}, 1),
        ({"lost": -1}, 1),
        ({"ended": "SIGINT"}, 130),
        ({"ended": "SIGTERM", "lost": 3}, 1),
    ],
)
def test_the_exit_code(made, code):
    assert exit_code(result(**made)) == code


def test_the_terminal_says_what_grows_and_what_is_lost():
    made = result(leaking=("server_rss",), lost=7)
    console = Console(width=WIDTH)
    with console.capture() as captured:
        console.print(series(made))
        console.print(checks(made))
    rows = captured.get().splitlines()
    assert sum(row.rstrip().endswith(" NO") for row in rows) == 1
    assert all(any(name in row for row in rows) for name in COLUMNS)
    assert "The counts do NOT agree: long crawl: missing." in says(made)
    assert "Nothing lost" in says(result())
    assert "Too short a run" in says(result(seconds=9))
    assert "Ended early by SIGINT" in says(result(ended="SIGINT"))


def test_the_json_holds_samples_faults_and_verdicts(tmp_path):
    write_json(result(), tmp_path / "new" / "soak.json")
    found = orjson.loads((tmp_path / "new" / "soak.json").read_bytes())
    assert len(found["samples"]["at"]) == len(found["samples"]["series"]["wal"]) == 601
    assert found["samples"]["series"]["connections"][305] is None
    assert [fault["kind"] for fault in found["faults"]] == ["terminate", "kill"]
    assert {verdict["name"] for verdict in found["verdicts"]} == {one.name for one in SERIES}
    assert found["seed"] == 1
