"""A short run of the real thing: processes, faults, the count."""

from typer.testing import CliRunner

from loadtests.__main__ import app
from tests.loadtests.faults.laboratory import laboratory


def run(tmp_path, *faults):
    words = [word for fault in faults for word in ("--fault", fault)]
    code, result, said = laboratory(tmp_path, *words, "--seed", "1", "--items", "6000")
    assert code == 0, said
    assert (result["lost"], result["twice"], result["breaches"]) == (0, 0, []), said
    assert set(result["faults"]) | set(result["not_run"]) == set(faults)
    assert result["items"] > 0.9 * 6000 * len(result["faults"])
    assert all(one["runs"] == 1 for one in result["faults"].values())
    healthy = [one["seconds_to_healthy"] for one in result["faults"].values()]
    assert all(seconds is None or seconds <= 30 for seconds in healthy)


def test_processes(tmp_path):
    run(tmp_path, "one-of-two-kill", "crawl-kill")


def test_database_and_network(tmp_path):
    run(tmp_path, "postgres-kill", "answers-lost")


def test_disk_and_clock(tmp_path):
    run(tmp_path, "power-loss-in-outage", "clock-jumps")


def test_the_command_line_refuses_a_fault_that_there_is_not():
    shown = CliRunner().invoke(app, ["faults", "--fault", "server-kil"])
    assert shown.exit_code == 2
    assert "there is no fault server-kil" in shown.output
