"""CPU seconds and resident memory of server, PostgreSQL and loader while the clock runs."""

import threading
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil

_LOOK_SECONDS = 0.1  # finding the children reads all of /proc: about 3 ms


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds (user and system), by part; the server's largest resident memory that was seen, in bytes."""

    cpu: dict[str, float]
    rss_peak: int


class Watch:
    """Looks at processes and all their children, from `with` to its end; the memory of `rss_of` is watched as well."""

    def __init__(self, parts: dict[str, psutil.Process | None], rss_of: str | None = None) -> None:
        self._parts = {name: process for name, process in parts.items() if process is not None}
        self._rss_of = self._parts.get(rss_of or "")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self._before: dict[str, float] = {}
        self._peak = 0
        self.usage = Usage({}, 0)

    def __enter__(self) -> Self:
        self._before = {name: cpu_seconds(process) for name, process in self._parts.items()}
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        if kind is None:
            after = {name: cpu_seconds(process) for name, process in self._parts.items()}
            self.usage = Usage({name: after[name] - self._before[name] for name in after}, self._peak)

    def _look(self) -> None:
        process, ended = self._rss_of, False
        while process is not None and not ended:
            ended = self._ended.wait(_LOOK_SECONDS)  # and once more at the end, however soon that was
            with suppress(psutil.NoSuchProcess):
                self._peak = max(self._peak, resident(process))


def cpu_seconds(process: psutil.Process) -> float:
    """CPU seconds of a process, its living children and those that it has waited for."""
    own = process.cpu_times()
    total = own.user + own.system + getattr(own, "children_user", 0.0) + getattr(own, "children_system", 0.0)
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            total += times.user + times.system
    return total


def resident(process: psutil.Process) -> int:
    """Resident bytes of a process and its children."""
    total = process.memory_info().rss
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            total += child.memory_info().rss
    return total
