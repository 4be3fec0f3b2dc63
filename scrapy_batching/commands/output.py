"""How the commands say things: tables and sentences for a person, JSON for a program."""

import sys
from collections.abc import Sequence
from typing import Any

import orjson


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


def in_batches(items: int, batches: int) -> str:
    """Both numbers in words."""
    return f"{items} {'item' if items == 1 else 'items'} in {batches} {'batch' if batches == 1 else 'batches'}"


def in_words(state: str, pid: int) -> str:
    """Who has it, where somebody has it."""
    return f"in use by pid {pid}" if state == "in use" else state


def day_and_time(moment: str) -> str:
    """Of an RFC 3339 moment in UTC, to the second."""
    return moment[:19].replace("T", " ")
