"""The real server, in a process of its own, from "listening" to the end of its drain."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.errors import PartError

_START_SECONDS = 60
_DRAIN_SECONDS = 60
_READY = "listening on "


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where it listens, and its process id."""

    url: str
    pid: int


@contextlib.contextmanager
def running_server(
    directory: Path, *, dsn: str, workers: int, modes: Mapping[str, str], more: Sequence[str] = ()
) -> Iterator[RunningServer]:
    """A server with its data and `ingest.toml` in `directory`; `modes` are its tables' write modes, `more` further flags.

    At the end it gets SIGTERM, and time to drain; raises `PartError` where it does not start or does not end well.
    """
    config = directory / "ingest.toml"
    config.write_text("".join(f'[table.{table}]\nmode = "{mode}"\n' for table, mode in modes.items()))
    words = ["--port", "0", "--data-dir", str(directory), "--database", dsn, "--workers", str(workers), *more]
    log = directory / "server.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "ingest_server", "run", *words, "--config", str(config)],
            cwd=directory,
            env={name: value for name, value in os.environ.items() if not name.startswith("INGEST_")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,  # Ctrl-C is the run's, which ends this process
        )
    lines: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, lines), name="server-stdout", daemon=True)
    reader.start()
    try:
        try:
            yield RunningServer(_url(process, lines), process.pid)
        finally:
            _end(process)
            reader.join()
    except PartError as error:
        raise PartError(part=error.part, said=f"{error.said}\n{_tail(log)}") from None
    if process.returncode != 0:
        raise PartError(part="server", said=f"exit code {process.returncode} after SIGTERM\n{_tail(log)}")


def _read(process: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
    """All of stdout, to its end: a full pipe would stop the server."""
    assert process.stdout is not None
    with process.stdout as stdout:
        for line in stdout:
            lines.put(line)
    lines.put("")


def _url(process: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> str:
    ends = time.monotonic() + _START_SECONDS
    while True:
        try:
            said = lines.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            raise PartError(part="server", said=f"it did not listen within {_START_SECONDS} s") from None
        if not said:
            raise PartError(part="server", said=f"it ended with exit code {process.wait()} before it listened")
        if said.startswith(_READY):
            return said.removeprefix(_READY).split()[0]


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(_DRAIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
