"""Dead letters for people: lists, one letter, what became of a retry, and how far it is."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ingest_server.asking.letterbox import Outcome

T = TypeVar("T")


def of_letters(things: Iterable[T], doing: str) -> Iterator[T]:
    """The same things, with their progress on standard error where a person looks on."""
    total = len(things) if isinstance(things, list) else None
    if not sys.stderr.isatty():
        yield from things
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(things, total=total, description=doing)


def print_letters(letters: Iterable[dict[str, Any]]) -> None:
    """A line each: when, which, where, why."""
    count = 0
    for one in letters:
        count += 1
        reason = f"{one['code']} {one['column'] or '-'}"
        tries = f", {one['attempts']} attempts" if one["attempts"] > 1 else ""
        typer.echo(_plain(f"{one['created_at']}  {one['id']}  {one['table']}  {reason}: {one['message']}{tries}"))
    if not count:
        typer.echo("no dead letters", err=True)


def print_groups(groups: list[dict[str, Any]]) -> None:
    """A line each, the largest first."""
    for one in groups:
        typer.echo(_plain(f"{one['count']:>9}  {one['table']}  {one['code']}  {one['column'] or '-'}"))
    if not groups:
        typer.echo("no dead letters", err=True)


def print_letter(letter: dict[str, Any]) -> None:
    """All that is known of one, the item last."""
    for name in ("id", "table", "crawl", "batch", "index", "code", "column", "message", "attempts", "created_at"):
        typer.echo(_plain(f"{name:<11} {'-' if letter[name] is None else letter[name]}"))
    if "item" in letter:
        typer.echo(orjson.dumps(letter["item"], option=orjson.OPT_INDENT_2))
    else:
        typer.echo(f"raw (base64) {letter['raw']}")


def print_outcome(outcome: Outcome) -> None:
    """What became of retries, in one line, and why some were left."""
    said = [f"{outcome.letters} letters in {outcome.batches} batches: {outcome.stored} stored"]
    if outcome.refused:
        said.append(f"{outcome.refused} refused again")
    if outcome.pending:
        said.append(f"{outcome.pending} on their way")
    typer.echo(", ".join(said))
    for one in outcome.left:
        which = one.get("letter") or f"{one['letters']} of table {one['table']}"
        typer.echo(_plain(f"left as it is: {which}: {one['reason']}"), err=True)


def _plain(text: str) -> str:
    """One line, whatever a table is called or PostgreSQL says: no line ends, and nothing that a terminal obeys."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
