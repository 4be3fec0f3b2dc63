"""Whoever is still there at the end of a run."""

from pathlib import Path

import psutil


def remains_of(directory: Path) -> list[str]:
    """Processes that work below `directory`, or were started from here: there should be none."""
    found = {process.pid: process for process in psutil.Process().children(recursive=True)}
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(directory):
                found[process.pid] = process
        except (psutil.Error, OSError):
            continue
    return [f"process {process.pid} was left: {_shown(process)}" for process in found.values()]


def _shown(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:200]
    except psutil.Error:
        return "(ended)"
