import io

import orjson
from rich.console import Console

from loadtests.faults.catalogue import BY_NAME
from loadtests.faults.checker import Findings
from loadtests.faults.report import Report, failures, table
from loadtests.faults.rounds import Outcome
from loadtests.faults.schedule import Round


def outcome(*names, **more):
    return Outcome(Round(tuple(BY_NAME[name] for name in names), 7, 1000), **more)


def report():
    return Report(
        7,
        [
            outcome("server-kill", findings=Findings(items=1000), seconds_to_healthy=[0.5, 2.0]),
            outcome("server-kill", findings=Findings(items=990, lost=3, examples=["lost c-0/4"])),
            outcome("crawl-kill", "read-only", findings=Findings(items=10, twice=2)),
            outcome("journal-full", not_run="only root may mount a small disk"),
        ],
        seconds=60.0,
    )


def test_the_file_has_the_shape_that_others_read(tmp_path):
    report().write(tmp_path / "results" / "x.json")
    found = orjson.loads((tmp_path / "results" / "x.json").read_bytes())
    assert (found["seed"], found["items"], found["lost"], found["twice"]) == (7, 2000, 3, 2)
    assert set(found["faults"]) == {"server-kill", "mixed"}
    one = found["faults"]["server-kill"]
    assert (one["runs"], one["lost"], one["twice"], one["seconds_to_healthy"]) == (2, 3, 0, 2.0)
    assert found["faults"]["mixed"]["seconds_to_healthy"] is None
    assert found["not_run"] == {"journal-full": "only root may mount a small disk"}
    assert found["failed"][0]["again"].startswith(
        "python -m loadtests faults --fault server-kill --seed 7 --items 1000"
    )
    assert found["items_per_second"] == 33


def test_lost_or_twice_is_a_failure_and_not_run_is_none():
    assert not report().is_good
    assert [one.round.name for one in report().failed] == ["server-kill", "mixed"]
    good = Report(1, [outcome("journal-full", not_run="no"), outcome("read-only")])
    assert good.is_good
    assert not Report(1, [outcome("read-only", breaches=["memory"])]).is_good
    assert not Report(1, [outcome("read-only")], breaches=["process 1 was left"]).is_good


def test_the_table_names_what_was_not_run_and_a_failure_its_command():
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(table(report()))
    shown = console.export_text()
    assert "not run: only root may mount a small disk" in shown
    assert "1 failed" in shown
    said = failures(report().failed)
    assert "--fault crawl-kill --fault read-only --mixed --seed 7" in "\n".join(said)
    assert "  3 lost" in said
    assert "  lost c-0/4" in said
