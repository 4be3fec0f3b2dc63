"""The system calls of the real server: before an answer says `journaled`, the journal's log was synced with the body in it.

That is the journal's whole promise, seen from below: whatever SQLite, Python or we believe, the kernel was asked.
"""

import http.client
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil

from loadtests.errors import PartError
from loadtests.faults.needs import NotPossible

_CALLS = "fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg"
_SHOWN = 20_000
_SYNCS = {"fsync", "fdatasync"}
_LINE = re.compile(r"(?P<thread>\d+) +(?P<at>\d+\.\d+) (?P<text>.*)")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(?P<rest>.*)")
_TOOK = re.compile(r"<(?P<took>\d+\.\d+)>$")
_NAME = re.compile(r"(?P<name>\w+)\(\d+<(?P<path>[^>]*(?:->[^>]*)?)>")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call: when it began and ended (seconds, one clock), on which file or connection."""

    name: str
    path: str
    began: float
    ended: float
    text: str


@dataclass(frozen=True, slots=True)
class Traced:
    """How many answers said `journaled`, how many syncs of the journal's log there were, and what was wrong."""

    answers: int
    syncs: int
    breaches: tuple[str, ...]


def trace(
    directory: Path, *, database: str, batches: int = 40, connections: int = 4, launch: Sequence[str] = ()
) -> Traced:
    """Run the real server under strace, send it batches over several connections, and look at what it asked of the kernel.

    `directory` (empty) gets the journal and the trace; `launch` are hooks as `loadtests.faults.launch.words` makes them.
    Raises `NotPossible` where there is no strace or it may not trace, `PartError` where the server does not start.
    Blocking; some seconds.
    """
    strace = shutil.which("strace")
    if strace is None:
        raise NotPossible("strace is not installed")
    if subprocess.run([strace, "-o", "/dev/null", "true"], capture_output=True, check=False).returncode != 0:
        raise NotPossible("strace may not trace here")
    calls, log = directory / "calls", directory / "server.log"
    program = ["loadtests.faults.launch", *launch, "--", "server"] if launch else ["ingest_server"]
    with log.open("wb") as said:
        process = subprocess.Popen(
            [
                *(strace, "-f", "-ttt", "-T", "-y", "-yy", "-s", str(_SHOWN), "-e", f"trace={_CALLS}"),
                *("-e", "signal=none", "-o", str(calls), sys.executable, "-m", *program),
                *("run", "--port", "0", "--data-dir", str(directory / "data")),
                *("--journal-dir", str(directory / "journal")),
                *("--database", database, "--create-tables"),
            ],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            cwd=Path(__file__).parents[2],
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            raise PartError(part="server", said=log.read_text(errors="replace")[-2000:])
        names = _send(int(line.rsplit(":", 1)[1]), batches, connections)
    finally:
        _end(process)
    return examine(read_calls(calls), names)


def read_calls(path: Path) -> list[Call]:
    """The calls in a trace (strace -f -ttt -T -y), in the order in which they began."""
    return sorted(_calls(path), key=lambda call: call.began)


def examine(calls: Sequence[Call], names: Sequence[str]) -> Traced:
    """Hold every answer to the promise. `names` are batches that were answered `journaled`; each stands in body and answer."""
    logs = [call for call in calls if call.path.endswith("-wal")]
    syncs = [call for call in logs if call.name in _SYNCS]
    breaches = []
    for name in names:
        writes = [call for call in logs if call.name not in _SYNCS and name in call.text]
        answers = [call for call in calls if not call.path.endswith("-wal") and _is_answer(call, name)]
        if not writes or not answers:
            what = "write of its body into the journal's log" if not writes else "answer"
            breaches.append(f"batch {name}: no {what} in the trace")
            continue
        answered = min(call.began for call in answers)
        # Its page may be written once more for a neighbour's sake: then the sync after the first time is the one.
        if not any(write.ended <= sync.began and sync.ended <= answered for sync in syncs for write in writes):
            breaches.append(f"batch {name}: no sync of the journal between the write of its body and its answer")
    return Traced(len(names), len(syncs), tuple(breaches))


def _is_answer(call: Call, name: str) -> bool:
    return "HTTP/1.1 202" in call.text and name in call.text


def _calls(path: Path) -> Iterator[Call]:
    begun: dict[str, tuple[float, str]] = {}
    with path.open(errors="replace") as lines:
        for line in lines:
            found = _LINE.match(line)
            if found is None:
                continue
            thread, at, text = found["thread"], float(found["at"]), found["text"]
            if text.endswith("<unfinished ...>"):
                begun[thread] = (at, text.removesuffix("<unfinished ...>"))
                continue
            if resumed := _RESUMED.match(text):
                if thread not in begun:
                    continue
                at, first = begun.pop(thread)
                text = first + resumed["rest"]
            name, took = _NAME.match(text), _TOOK.search(text)
            if name and took:
                yield Call(name["name"], name["path"], at, at + float(took["took"]), text)


def _send(port: int, batches: int, connections: int) -> list[str]:
    """Send batches, from several threads; the names of those that were answered `journaled`."""
    names: list[str] = []

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for _ in range(batches // connections):
            name = str(uuid4())
            headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": name}
            connection.request("POST", "/v1/tables/traced/batches", json.dumps({"name": name}) + "\n", headers)
            answer = connection.getresponse()
            if json.loads(answer.read()).get("ack") == "journaled" and answer.status == 202:
                names.append(name)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return names


def _end(process: "subprocess.Popen[str]") -> None:
    """SIGTERM for the server, which is strace's child; strace ends with it."""
    try:
        for server in psutil.Process(process.pid).children():
            server.terminate()
        process.wait(30)
    except (psutil.NoSuchProcess, subprocess.TimeoutExpired):
        pass
    finally:
        if process.poll() is None:
            for server in psutil.Process(process.pid).children():
                server.kill()
            process.kill()
        process.communicate()
