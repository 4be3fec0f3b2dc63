"""The real server as a process: started, waited for, stopped by its id."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROGRAM = ("-m", "ingest_server")


@dataclass(slots=True)
class RunningServer:
    """A server process that listens."""

    process: "subprocess.Popen[str]"
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def terminate(self, seconds: float = 30) -> tuple[int, str]:
        """SIGTERM; its exit code and what it logged."""
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=seconds)
        return self.process.returncode, log

    def kill(self) -> None:
        """SIGKILL, as the system does where memory is short: nothing is settled, nothing is said."""
        self.process.kill()
        self.process.wait(30)


@contextlib.contextmanager
def running_server(
    *arguments: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    program: Sequence[str] = PROGRAM,
) -> Iterator[RunningServer]:
    """`ingest-server run --port 0` with these arguments, until the block ends. `program`: what Python runs as it.

    A server in the tests' own directory has a journal of its own: what one test leaves is no other server's to adopt.
    """
    with contextlib.ExitStack() as stack:
        if cwd is None and not {"--data-dir", "--journal-dir"} & set(arguments):
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="ingest-journal-"))
            env = {"INGEST_JOURNAL_DIR": directory, **(env or {})}
        yield from _running(arguments, cwd, env, program)


def _running(
    arguments: Sequence[str], cwd: Path | None, env: Mapping[str, str] | None, program: Sequence[str]
) -> Iterator[RunningServer]:
    process = subprocess.Popen(
        [sys.executable, *program, "run", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            _, log = process.communicate(timeout=30)
            raise AssertionError(f"the server did not start, exit code {process.returncode}:\n{log}")
        yield RunningServer(process, line.removeprefix("listening on ").strip())
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
