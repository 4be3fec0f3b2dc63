"""A soak of some seconds with everything real, and one that is interrupted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import psutil
import pytest

from loadtests.soak.plan import Kind
from loadtests.soak.verdict import SERIES

HERE = Path(__file__).parents[3]


@pytest.fixture
def place(tmp_path):
    """For every temporary file of a run."""
    temporary = tmp_path / "t"
    temporary.mkdir()
    return temporary


def start(place, *words):
    command = [sys.executable, "-m", "loadtests", "soak", "--rate", "500", "--interval", "0.25"]
    command += ["--json", str(place.parent / "x.json"), "--html", str(place.parent / "x.html"), *words]
    return subprocess.Popen(
        command,
        cwd=HERE,
        env={**os.environ, "TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_crawl(process):
    try:
        return "runspider" in process.cmdline()
    except psutil.Error:  # it has ended meanwhile
        return False


def test_some_seconds_with_every_kind_of_fault(place):
    with start(place, "--minutes", "0.13") as process:
        said, log = process.communicate()
    assert process.returncode == 0, said + log
    found = orjson.loads((place.parent / "x.json").read_bytes())
    assert all(check["expected"] == check["found"] for check in found["checks"])
    # whether a short crawl lives long enough to be killed is the machine's affair in a run of eight seconds
    assert {fault["kind"] for fault in found["faults"]} >= set(Kind) - {Kind.crawl}
    assert [fault for fault in found["faults"] if fault["said"].startswith("did not happen")] == []
    assert found["items"] > 1000
    assert len(found["samples"]["at"]) > 10
    series = found["samples"]["series"]
    assert set(series) >= {one.name for one in SERIES}
    assert max(filter(None, series["server_rss"])) > 2**24
    assert max(filter(None, series["crawl_rss"])) > 2**24
    assert max(filter(None, series["connections"])) >= 1
    assert min(series["wal"]) >= 2**24
    assert "Too short a run" in said
    assert (place.parent / "x.html").exists()
    assert list(place.iterdir()) == []  # everything that was started is gone


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_in_order_and_reports(place, number):
    with start(place, "--minutes", "30") as process:
        own, started = psutil.Process(process.pid), []
        while process.poll() is None and not any(map(is_crawl, started)):
            started = own.children(recursive=True)
        process.send_signal(number)
        said, log = process.communicate()
    assert process.returncode == 128 + number, said + log
    assert f"Ended early by {number.name}" in said
    assert "Nothing lost, nothing twice, nothing left behind." in " ".join(said.split())
    assert not any(child.is_running() for child in started)
    assert list(place.iterdir()) == []
