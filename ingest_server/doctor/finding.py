"""What an examination finds."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """The server works, and something is not as it should be."""
    FAILURE = "failure"
    """The server does not start, or batches are refused, buried or lost."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome; `remedy` says what to do, and is empty where all is well."""

    check: str
    level: Level
    text: str
    remedy: str = ""


Findings = Iterator[Finding]


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, text)


def warning(check: str, text: str, remedy: str) -> Finding:
    """Something is not as it should be."""
    return Finding(check, Level.WARNING, text, remedy)


def failure(check: str, text: str, remedy: str) -> Finding:
    """The server cannot work so."""
    return Finding(check, Level.FAILURE, text, remedy)


def shown_bytes(size: float) -> str:
    """For people: `1.5 GiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
