import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import psutil
import pytest
from typer.testing import CliRunner

from loadtests.__main__ import app
from loadtests.grid import QUICK, Grid
from loadtests.ingest import _shuffled
from loadtests.loader import Loader, Plan
from tests.loadtests.test_page import read

HERE = Path(__file__).parents[2]
TINY = ("--batch-sizes", "50", "--workers", "2", "--items", "300", "--rounds", "1")


def ingest(tmp_path, *words):
    command = [sys.executable, "-m", "loadtests", "ingest", *TINY, *words]
    ran = subprocess.run(
        command, cwd=HERE, capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran


@pytest.mark.parametrize(
    ("words", "mode", "shape"),
    [
        ((), "append", "wide"),
        (("--mode", "upsert", "--shape", "narrow", "--changed", "0.2", "--unchanged", "0.1"), "upsert", "narrow"),
    ],
)
def test_a_small_run_measures_counts_and_reports(tmp_path, words, mode, shape):
    temporary = tmp_path / "t"
    temporary.mkdir()
    page, figures = tmp_path / "x.html", tmp_path / "x.json"
    ran = ingest(temporary, "--json", str(figures), "--html", str(page), *words)
    assert "ceiling" in ran.stdout
    result = orjson.loads(figures.read_bytes())
    assert result["mode"] == mode
    assert result["seed"] == 1
    assert result["versions"]["postgres"].startswith("18")
    assert result["machine"]["cores"] >= 1
    (cell,) = result["cells"]
    assert (cell["shape"], cell["workers"], cell["batch_size"], cell["items"]) == (shape, 2, 50, 300)
    for name in ("items_per_second", "ceiling_items_per_second", "ratio"):
        assert 0 < cell[name]["p10"] <= cell[name]["median"] <= cell[name]["p90"]
    assert 0 < cell["latency_ms"]["p50"] <= cell["latency_ms"]["p99"]
    assert set(cell["cpu_seconds_per_1000_items"]) == {"server", "postgres", "loader"}
    assert cell["server_rss_peak_bytes"] > 2**20
    assert "svg" in read(page.read_text(encoding="utf-8")).seen
    assert list(temporary.iterdir()) == []  # everything that was started is gone


def test_the_command_line_lists_scenarios_and_refuses_what_makes_no_sense():
    runner = CliRunner()
    assert "ingest" in runner.invoke(app, ["--help"]).output
    for words in (
        ["--batch-sizes", "10,x"],
        ["--batch-sizes", "0"],
        ["--workers", "2,2"],
        ["--changed", "0.5"],
        ["--mode", "upsert", "--changed", "0.7", "--unchanged", "0.7"],
    ):
        assert runner.invoke(app, ["ingest", *words]).exit_code == 2


def test_a_grid_sends_fewer_items_in_small_batches():
    grid = Grid(items=60_000)
    assert grid.items_of(10) == 10_000
    assert grid.items_of(1000) == 60_000
    assert grid.cells == 20
    assert QUICK.cells * QUICK.rounds <= 8


def test_the_order_of_a_round_is_decided_by_the_seed():
    first, again = (_shuffled(range(20), random.Random(3)) for _ in range(2))
    assert first == again
    assert sorted(first) == list(range(20))


PLAN = Plan(
    way="http",
    address="http://127.0.0.1:9",  # discard: nothing listens there
    table="t",
    shape="narrow",
    mode="append",
    batch_size=10,
    connections=2,
    items=20,
    warm_up=0,
    warm_up_batch=10,
    seed=1,
)


def test_the_loader_is_a_process_that_says_what_went_wrong_and_goes_on():
    with Loader() as loader:
        for _ in range(2):
            loader.prepare(PLAN)
            with pytest.raises(Exception, match="server failed"):
                loader.go()
    assert not psutil.pid_exists(loader.pid)


def test_a_loader_that_was_killed_fails_the_run():
    with Loader() as loader:
        loader.prepare(PLAN)
        os.kill(loader.pid, signal.SIGKILL)
        with pytest.raises(Exception, match="loader failed"):
            loader.go()
