"""How the commands say things: tables and sentences for a person, JSON for a program."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson


@contextmanager
def while_read() -> Iterator[None]:
    """Ends quietly what is printed within, where the reader, `head` for instance, has enough."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more when it ends, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns side by side, each as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())


def print_json(found: dict[str, Any]) -> None:
    """One object, indented."""
    print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


def say(text: str) -> None:
    """To a person, where a program reads the rest."""
    print(text, file=sys.stderr)


def in_words(state: str, pid: int) -> str:
    """Who has it, where somebody has it."""
    return f"in use by pid {pid}" if state == "in use" else state


def day_and_time(moment: str) -> str:
    """Of an RFC 3339 moment in UTC, to the second; empty where there is none."""
    return moment and moment[:19].replace("T", " ") + "Z"
