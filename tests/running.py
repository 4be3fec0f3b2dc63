"""The real server as a process: started, waited for, stopped by its id."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


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


@contextlib.contextmanager
def running_server(
    *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """`ingest-server run --port 0` with these arguments, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ingest_server", "run", "--port", "0", *arguments],
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
