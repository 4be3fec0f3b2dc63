"""`ingest-server dead-letters list|groups|show|retry|delete|export|import`: the workbench, over HTTP with a running server."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from ingest_server.asking.letterbox import Filter, Letterbox, Outcome
from ingest_server.commands.letter_files import content, opened, repaired_items
from ingest_server.commands.letter_lines import (
    of_letters,
    print_groups,
    print_letter,
    print_letters,
    print_outcome,
)
from ingest_server.commands.options import AsJson, Config, as_json, read_settings, refusals
from ingest_server.commands.server_options import TokenFile, Url, asked_server
from ingest_server.errors import StartRefused

dead_letters = typer.Typer(
    help="Refused items: look at them, repair and retry them, take them away.", no_args_is_help=True
)
_CANNOT = 2

Table = Annotated[str | None, typer.Option("--table", help="only this table's")]
Crawl = Annotated[str | None, typer.Option("--crawl", help="only this crawl's")]
Code = Annotated[str | None, typer.Option("--code", help="only this code: invalid, strict, or an SQLSTATE")]
Column = Annotated[str | None, typer.Option("--column", help="only this column; '' where the reason names none")]
Letter = Annotated[str, typer.Argument(metavar="LETTER", help="the letter's id")]


@dead_letters.command("list")
def list_letters(
    table: Table = None,
    crawl: Crawl = None,
    code: Code = None,
    column: Column = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="how many at most")] = 100,
    json: AsJson = False,
    url: Url = None,
    token_file: TokenFile = None,
    config: Config = None,
) -> None:
    """List dead letters, newest first."""
    with refusals(_CANNOT):
        pages = _letterbox(url, token_file, config).pages(Filter(table, crawl, code, column), limit)
        if json:
            typer.echo(as_json([letter for page in pages for letter in page]))
        else:
            print_letters(letter for page in pages for letter in page)


@dead_letters.command()
def groups(
    table: Table = None,
    crawl: Crawl = None,
    code: Code = None,
    column: Column = None,
    json: AsJson = False,
    url: Url = None,
    token_file: TokenFile = None,
    config: Config = None,
) -> None:
    """Count dead letters by table, code and column: one line for each thing that is wrong."""
    with refusals(_CANNOT):
        found = _letterbox(url, token_file, config).groups(Filter(table, crawl, code, column))
    if json:
        typer.echo(as_json(found))
    else:
        print_groups(found)


@dead_letters.command()
def show(
    letter: Letter, json: AsJson = False, url: Url = None, token_file: TokenFile = None, config: Config = None
) -> None:
    """Show one dead letter with its item."""
    with refusals(_CANNOT):
        found = _letterbox(url, token_file, config).show(letter)
    if json:
        typer.echo(as_json(found))
    else:
        print_letter(found)


@dead_letters.command()
def retry(
    letters: Annotated[list[str] | None, typer.Argument(metavar="[LETTER]…", help="ids of letters")] = None,
    item: Annotated[
        str | None, typer.Option("--item", help="file with the repaired item, for one LETTER; - for standard input")
    ] = None,
    repaired: Annotated[
        str | None,
        typer.Option(
            "--repaired", help="file of exported letters with repaired items, a line each; - for standard input"
        ),
    ] = None,
    table: Table = None,
    crawl: Crawl = None,
    code: Code = None,
    column: Column = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="wait until what is retried is settled")] = True,
    json: AsJson = False,
    url: Url = None,
    token_file: TokenFile = None,
    config: Config = None,
) -> None:
    """Retry dead letters: some by id, those of a file with repaired items, or a group.

    Exit code 0: all are stored (or on their way); 1: some were refused again or left as they are; 2: it cannot be said.
    """
    wanted = Filter(table, crawl, code, column)
    with refusals(_CANNOT):
        if sum((bool(letters), repaired is not None, bool(wanted.given))) != 1 or (item and len(letters or ()) != 1):
            raise StartRefused(
                "it is not clear which letters to retry",
                remedy="name LETTERs (one with --item), or --repaired FILE, or a group by --table, --crawl, --code, --column",
            )
        box, outcome = _letterbox(url, token_file, config), Outcome()
        if wanted.given:
            batches: Iterable[dict[str, object]] = list(box.retry_group(wanted, outcome))
        elif repaired is not None:
            with opened(repaired) as lines:
                batches = list(_each(box, repaired_items(lines), outcome))
        else:
            mended = None if item is None else content(item)
            batches = list(_each(box, ((letter, mended) for letter in letters or ()), outcome))
        for batch in of_letters(batches, "retrying"):
            outcome.add(box.settled(batch) if wait else batch)
    if json:
        typer.echo(as_json(outcome.as_json))
    else:
        print_outcome(outcome)
    raise typer.Exit(0 if outcome.is_whole else 1)


@dead_letters.command()
def delete(
    letters: Annotated[list[str] | None, typer.Argument(metavar="[LETTER]…", help="ids of letters")] = None,
    table: Table = None,
    crawl: Crawl = None,
    code: Code = None,
    column: Column = None,
    yes: Annotated[bool, typer.Option("--yes", help="a whole group, without asking")] = False,
    json: AsJson = False,
    url: Url = None,
    token_file: TokenFile = None,
    config: Config = None,
) -> None:
    """Throw dead letters away, by id or a group. Export them first if they may be wanted again.

    Exit code 0: they are gone; 1: some were not there; 2: it cannot be said.
    """
    wanted = Filter(table, crawl, code, column)
    with refusals(_CANNOT):
        if bool(letters) == bool(wanted.given):
            raise StartRefused(
                "it is not clear which letters to delete",
                remedy="name LETTERs, or a group by --table, --crawl, --code, --column",
            )
        box = _letterbox(url, token_file, config)
        if letters:
            names = list(letters)
        else:
            count = sum(group["count"] for group in box.groups(wanted))
            if not yes and not typer.confirm(f"throw {count} dead letters away?", err=True):
                raise typer.Exit(1)
            names = [letter["id"] for page in box.pages(wanted) for letter in page]
        gone = sum(box.delete(name) for name in of_letters(names, "deleting"))
    if json:
        typer.echo(as_json({"deleted": gone, "missing": len(names) - gone}))
    else:
        typer.echo(f"{gone} deleted" + (f", {len(names) - gone} were not there" if gone < len(names) else ""))
    raise typer.Exit(int(gone < len(names) and bool(letters)))


@dead_letters.command()
def export(
    to: Annotated[Path | None, typer.Option("--to", help="file; default: standard output")] = None,
    table: Table = None,
    crawl: Crawl = None,
    code: Code = None,
    column: Column = None,
    url: Url = None,
    token_file: TokenFile = None,
    config: Config = None,
) -> None:
    """Write dead letters as NDJSON, one a line, as `import` and `retry --repaired` read them."""
    with refusals(_CANNOT), ExitStack() as stack:
        if to is not None and to.exists():  # after a delete it may be the only copy
            raise StartRefused(f"{to} is there already", remedy="name another file, or move that one away")
        lines = _letterbox(url, token_file, config).export(Filter(table, crawl, code, column))
        try:
            # made before the stream begins, and named only when it is whole
            part = None if to is None else to.with_name(f"{to.name}.part")
            output: BinaryIO = sys.stdout.buffer if part is None else stack.enter_context(part.open("wb"))
            count = 0
            for line in of_letters(lines, "exporting"):
                output.write(line + b"\n")
                count += 1
            output.flush()
            if part is not None and to is not None:
                part.replace(to)
        except OSError as error:
            raise StartRefused(f"the letters cannot be written: {error}", remedy="choose another --to") from None
    typer.echo(f"{count} dead letters", err=True)


@dead_letters.command("import")
def import_letters(
    file: Annotated[str, typer.Argument(help="exported letters; - for standard input")],
    json: AsJson = False,
    url: Url = None,
    token_file: TokenFile = None,
    config: Config = None,
) -> None:
    """Put exported letters in. Those that are there already, or that a retry has stored, are left alone."""
    imported = existing = 0
    with refusals(_CANNOT), opened(file) as lines:
        for fresh, there in _letterbox(url, token_file, config).put_in(of_letters(lines, "importing")):
            imported += fresh
            existing += there
    if json:
        typer.echo(as_json({"imported": imported, "existing": existing}))
    else:
        typer.echo(f"{imported} imported, {existing} were there already or are stored")


def _letterbox(url: str | None, token_file: Path | None, config: Path | None) -> Letterbox:
    return Letterbox(asked_server(url, token_file, read_settings(config)))


def _each(box: Letterbox, letters: Iterable[tuple[str, bytes | None]], outcome: Outcome) -> Iterator[dict[str, object]]:
    for letter, item in of_letters(letters, "sending"):
        batch = box.retry(letter, item)
        if batch is None:
            outcome.left.append({"letter": letter, "reason": "it is gone, or is no JSON and must be repaired"})
        else:
            yield batch
