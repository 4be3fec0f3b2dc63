import signal
import sys

import psutil
import pytest

from loadtests import server
from loadtests.errors import PartError
from loadtests.server import running_server


def stand_in(monkeypatch, tmp_path, program):
    """A package `ingest_server` that is `program` and nothing else, before the real one."""
    package = tmp_path / "ingest_server"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


GOOD = """
import signal, sys, threading
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
print("starting", flush=True)
print("listening on http://127.0.0.1:4711", flush=True)
print(sys.argv[1:], file=sys.stderr, flush=True)
ended.wait()
"""


def test_a_server_is_there_inside_and_gone_afterwards(monkeypatch, tmp_path):
    stand_in(monkeypatch, tmp_path, GOOD)
    with running_server(tmp_path, dsn="postgresql://x", workers=3, modes={"a_1": "upsert"}) as found:
        assert found.url == "http://127.0.0.1:4711"
        assert psutil.pid_exists(found.pid)
    assert not psutil.pid_exists(found.pid)
    assert (tmp_path / "ingest.toml").read_text() == '[table.a_1]\nmode = "upsert"\n'
    said = (tmp_path / "server.log").read_text()
    assert "'--workers', '3'" in said
    assert "'--database', 'postgresql://x'" in said


def test_an_error_inside_ends_the_server_too(monkeypatch, tmp_path):
    stand_in(monkeypatch, tmp_path, GOOD)
    with pytest.raises(KeyboardInterrupt), running_server(tmp_path, dsn="x", workers=1, modes={}) as found:
        raise KeyboardInterrupt
    assert not psutil.pid_exists(found.pid)


def test_a_server_that_does_not_start_says_why(monkeypatch, tmp_path):
    stand_in(monkeypatch, tmp_path, "import sys; sys.exit('no such database')")
    with (
        pytest.raises(PartError, match="exit code 1 before it listened\nno such database"),
        running_server(tmp_path, dsn="x", workers=1, modes={}),
    ):
        pytest.fail("it never listened")


def test_a_server_that_does_not_end_well_fails_the_run(monkeypatch, tmp_path):
    stand_in(monkeypatch, tmp_path, GOOD + "sys.exit('a batch was left behind')")
    with (
        pytest.raises(PartError, match=r"exit code 1 after SIGTERM\n(.*\n)*a batch was left behind"),
        running_server(tmp_path, dsn="x", workers=1, modes={}),
    ):
        pass


def test_a_server_that_does_not_drain_is_killed_and_fails_the_run(monkeypatch, tmp_path):
    monkeypatch.setattr(server, "_DRAIN_SECONDS", 0.1)
    stand_in(monkeypatch, tmp_path, GOOD.replace("ended.wait()", "while True: signal.pause()"))
    with (
        pytest.raises(PartError, match=f"exit code -{signal.SIGKILL.value}"),
        running_server(tmp_path, dsn="x", workers=1, modes={}) as found,
    ):
        pass
    assert not psutil.pid_exists(found.pid)


def test_it_is_this_python_that_runs_the_server(monkeypatch, tmp_path):
    stand_in(monkeypatch, tmp_path, GOOD.replace("sys.argv[1:]", "sys.executable"))
    with running_server(tmp_path, dsn="x", workers=1, modes={}):
        pass
    assert (tmp_path / "server.log").read_text().strip() == sys.executable
