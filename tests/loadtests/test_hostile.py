"""The scenario of hostile clients: some seconds of it with everything real, and its figures from made-up probes."""

import dataclasses
import math
import os
import subprocess
import sys
from pathlib import Path

import orjson

from loadtests.hostile.attacks import ATTACKS
from loadtests.hostile.draw import draw_memory, draw_probes, save
from loadtests.hostile.results import Result, Row, milliseconds
from loadtests.hostile.table import COLUMNS, says, words

HERE = Path(__file__).parents[2]
ROW = Row("slow bodies", "…", 200, 1.0, 2.0, {"503": 5, "cut": 1}, 20, 0, 1.5, 40.0, 90.0, 300 * 2**20, 1234.5)


def result(*rows: Row, stored: int = 10) -> Result:
    return Result(
        *("hostile", "2026-01-01T12:00:00+00:00", 3.0, 0, {}, {}, {}),
        *(512 * 2**20, 768 * 2**20, rows, ((0.0, 2**20), (3.0, 300 * 2**20)), 10, 10, stored, 10),
    )


def test_a_row_holds_where_every_probe_was_answered_and_99_of_100_soon() -> None:
    assert ROW.holds
    assert not dataclasses.replace(ROW, p99=101.0).holds
    assert not dataclasses.replace(ROW, unanswered=1).holds
    assert len(words(ROW)) == len(COLUMNS)
    assert words(dataclasses.replace(ROW, unanswered=1))[6] == "none"


def test_what_it_says_names_what_does_not_hold() -> None:
    assert "nothing lost, nothing twice" in says(result(ROW))
    assert "below the limit" in says(result(ROW))
    late = says(result(ROW, dataclasses.replace(ROW, name="idle", p99=500.0), stored=11))
    assert "p99 above 100 ms: idle" in late
    assert "do NOT agree" in late


def test_probes_without_an_answer_are_no_times() -> None:
    assert milliseconds([0.001, math.inf, 0.003], 1.0) == 3
    assert milliseconds([math.inf], 0.5) == math.inf


def test_the_plots_are_drawn(tmp_path) -> None:
    found = result(ROW, dataclasses.replace(ROW, name="idle", began=2.0, ended=3.0))
    for name, figure in (("memory", draw_memory(found)), ("hostile", draw_probes(found))):
        save(figure, tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5000


def test_every_attack_has_a_name_of_its_own() -> None:
    assert len({one.name for one in ATTACKS}) == len(ATTACKS)
    assert not [one.name for one in ATTACKS if "," in one.name]


def test_some_seconds_of_it(tmp_path) -> None:
    words = ["--attacks", "slow bodies,idle,open arrays", "--seconds", "1", "--together", "1", "--share", "0.1"]
    done = subprocess.run(
        [sys.executable, "-m", "loadtests", "hostile", *words, "--json", str(tmp_path / "x.json")],
        cwd=HERE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    found = orjson.loads((tmp_path / "x.json").read_bytes())
    assert [row["name"] for row in found["rows"]] == ["nobody", "slow bodies", "idle", "open arrays", "all at once"]
    assert found["named"] == found["committed"] == found["stored"] == found["distinct"] > 0
    assert all(row["probes"] > 5 for row in found["rows"])


def test_an_attack_that_is_none_is_named() -> None:
    command = [sys.executable, "-m", "loadtests", "hostile", "--attacks", "kindness"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "no such attack: kindness" in " ".join(done.stderr.split())
