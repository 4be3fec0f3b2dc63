"""What the commands of several scenarios have in common: lists of numbers and of names, and the bar that counts."""

from collections.abc import Callable, Collection

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers above zero, each once, with commas between them. Raises `typer.BadParameter`."""
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r}: write whole numbers with commas between them, as in 10,50,100") from None
    if not all(number > 0 for number in found) or len(set(found)) != len(found):
        raise typer.BadParameter(f"{text!r}: each number once, and above zero")
    return found


def some_of(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    """Reads some of these names, each once, with commas between them. It raises `typer.BadParameter`."""

    def names(text: str) -> tuple[str, ...]:
        found = tuple(text.split(","))
        if not set(found) <= set(known) or len(set(found)) != len(found):
            raise typer.BadParameter(f"{text!r}: write some of {','.join(known)}, each once")
        return found

    return names


def counting_bar() -> Progress:
    """On stderr: what is being done, and how many of how many are done."""
    return Progress(
        TextColumn("{task.description:<48}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
