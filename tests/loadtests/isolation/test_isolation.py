import orjson
import pytest
from rich.console import Console
from typer.testing import CliRunner

from loadtests.__main__ import app
from loadtests.errors import CountError
from loadtests.isolation.plan import MODES, REASONS, Plan
from loadtests.isolation.results import Run, cells
from loadtests.isolation.run import _same
from loadtests.isolation.table import COLUMNS, words


def test_a_small_run_measures_every_cell_and_leaves_nothing_behind(postgres, tmp_path):
    figures = tmp_path / "new" / "x.json"
    ran = CliRunner().invoke(
        app,
        [
            "isolation",
            "--items",
            "30",
            "--bad",
            "1,30",
            "--rounds",
            "1",
            "--database",
            postgres.dsn,
            "--json",
            str(figures),
        ],
    )
    assert ran.exit_code == 0, ran.output
    assert "over a good batch" in ran.output
    found = orjson.loads(figures.read_bytes())
    assert (found["scenario"], found["seed"], found["items"]) == ("isolation", 1, 30)
    kinds = [(cell["mode"], cell["reason"], cell["bad"]) for cell in found["cells"]]
    assert kinds == [(mode, reason, bad) for mode in MODES for reason in REASONS for bad in (0, 1, 30)]
    assert len(found["runs"]) == len(kinds)
    statements = {tuple(kind): cell["statements"] for kind, cell in zip(kinds, found["cells"], strict=True)}
    for mode in MODES:
        # what validation finds costs one statement, that which buries it, however many they are
        assert statements[mode, "validation", 1] == statements[mode, "validation", 0] + 1
        assert statements[mode, "validation", 30] <= statements[mode, "validation", 1]
        # a line that is named spares the search
        assert statements[mode, "copy", 1] < statements[mode, "constraint", 1]
    assert all(cell["over_good"]["median"] == 1 for cell in found["cells"] if cell["bad"] == 0)


def test_times_are_compared_within_their_round():
    plan = Plan(items=10, bad=(1,), modes=("append",), reasons=("copy",), rounds=2)
    runs = [Run(1, "append", "copy", 0, 5, 0.1), Run(1, "append", "copy", 1, 9, 0.2)]
    runs += [Run(2, "append", "copy", 1, 9, 2.0), Run(2, "append", "copy", 0, 5, 1.0)]
    good, bad = cells(runs, plan)
    assert (good.statements, bad.statements) == (5, 9)
    assert (bad.over_good.p10, bad.over_good.p90) == (2, 2)
    assert bad.milliseconds.median == pytest.approx(1100)
    assert len(words(bad)) == len(COLUMNS)
    Console(quiet=True).print(*words(bad))


def test_a_batch_that_did_not_settle_as_it_should_ends_the_run():
    with pytest.raises(CountError, match="expected 1, found 2"):
        _same("items", 1, 2)


@pytest.mark.parametrize(
    "asked", [["--modes", "insert"], ["--reasons", "copy,copy"], ["--bad", "0"], ["--bad", "31", "--items", "30"]]
)
def test_a_choice_that_is_none_is_refused(asked):
    assert CliRunner().invoke(app, ["isolation", *asked]).exit_code == 2
