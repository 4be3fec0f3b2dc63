"""Names of files as a disk sees them: they come, go and change at once for everybody, and for good only with a sync."""

# The system's calls and its audit events speak of paths as text.
# ruff: noqa: PTH120

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

_MOST = 512
"""Changes of one process that wait for a sync; then the system has written the older ones back by itself."""


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the log. `does`: create, mkdir, unlink, rmdir, rename (from `source`; `kept` is what it replaced)."""

    does: str
    path: str
    source: str
    kept: str
    pid: int

    def undo(self, kept: Path) -> None:
        """As if it had never been."""
        path = Path(self.path)
        match self.does:
            case "create":
                path.unlink(missing_ok=True)
            case "mkdir":
                shutil.rmtree(path, ignore_errors=True)
            case "rmdir":
                path.mkdir(parents=True, exist_ok=True)
            case "rename" if path.exists() and not Path(self.source).exists():  # else it was killed before it renamed
                path.rename(self.source)
        if self.kept and (kept / self.kept).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(kept / self.kept, path)

    def lasts_with(self, synced: str, *, is_folder: bool, ordered: bool) -> bool:
        """Whether the sync of this file or folder makes it last."""
        return ordered or (is_folder and synced in {os.path.dirname(self.path), os.path.dirname(self.source)})


class Names:
    """Writes the log, one line at once; `forgotten` is told of each kept file that nobody can want back."""

    def __init__(self, state: Path, *, forgotten: Callable[[str], None]) -> None:
        self._log = os.open(state / "names.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._forgotten = forgotten
        self._waiting: list[Change] = []
        self._number = 0
        self._lock = threading.Lock()

    def next_number(self) -> int:
        with self._lock:
            self._number += 1
            return self._number

    def note(self, does: str, path: str, *, source: str = "", kept: str = "") -> None:
        """A change that is about to be made."""
        with self._lock:
            if len(self._waiting) >= _MOST:
                self._write({"sync": "", "pid": os.getpid()})
                self._settle(self._waiting)
            self._write({"does": does, "path": path, "source": source, "kept": kept, "pid": os.getpid()})
            self._waiting.append(Change(does, path, source, kept, os.getpid()))

    def synced(self, path: str, *, is_folder: bool) -> None:
        """A file or folder was synced. Nothing is written where it cannot matter to this process's own changes."""
        with self._lock:
            if not self._waiting and not is_folder:
                return
            self._write({"sync": path, "is_folder": is_folder})
            self._settle([one for one in self._waiting if one.lasts_with(path, is_folder=is_folder, ordered=False)])

    def all_synced(self) -> None:
        with self._lock:
            self._write({"sync": "", "pid": 0})
            self._settle(self._waiting)

    def _settle(self, changes: list[Change]) -> None:
        settled = {id(one) for one in changes}
        self._waiting = [one for one in self._waiting if id(one) not in settled]
        for one in changes:
            if one.kept:
                self._forgotten(one.kept)

    def _write(self, line: dict[str, object]) -> None:
        os.write(self._log, orjson.dumps(line) + b"\n")


def unsynced(log: Path, *, ordered: bool) -> list[Change]:
    """Changes that no later sync made last, oldest first."""
    waiting: list[Change] = []
    for text in log.read_bytes().splitlines() if log.exists() else ():
        line = orjson.loads(text)
        if "does" in line:
            waiting.append(Change(**line))
        elif line["sync"]:
            folder, path = line["is_folder"], line["sync"]
            waiting = [one for one in waiting if not one.lasts_with(path, is_folder=folder, ordered=ordered)]
        else:  # written back: one process's changes, or everybody's
            waiting = [one for one in waiting if line["pid"] not in {0, one.pid}]
    return waiting
