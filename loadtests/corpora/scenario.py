"""Scenario `corpora`: no 5xx, no hang, and every item that was accepted is a row or a dead letter."""

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import orjson
import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from ingest_server.postgres.embedded.embedded import temporary_postgres
from loadtests.command import counting_bar
from loadtests.corpora.cases import TYPED, TYPED_COLUMNS, Case, of_bodies, of_strings, read_bodies, read_strings
from loadtests.corpora.raw import Answer, ask
from loadtests.database import run
from loadtests.errors import RunError
from loadtests.server import running_server

_IN_FLIGHT = 8
_MOST_SHOWN = 20


def corpora(
    bodies: Annotated[
        list[Path] | None,
        typer.Option("--bodies", help="Directory, or file, of JSON bodies; may be said again.", exists=True),
    ] = None,
    strings: Annotated[
        list[Path] | None,
        typer.Option("--strings", help="JSON file with an array of strings; may be said again.", exists=True),
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result as JSON.")] = None,
) -> None:
    """Send collections of hostile JSON and strings to the server, in every place where a client may put them.

    Exit code 1 where an answer is a 5xx or does not come, or where an accepted item is neither a row nor a dead letter.
    """
    if not (bodies or strings):
        raise typer.BadParameter("name --bodies, --strings or both")
    try:
        cases = [
            *(of_bodies(read_bodies(bodies)) if bodies else ()),
            *(of_strings(read_strings(strings)) if strings else ()),
        ]
        with counting_bar() as bar:
            result = measure(cases, bar)
    except RunError as error:
        Console(stderr=True).print(f"[red]{error}[/]", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    if json is not None:
        json.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    show(result)
    raise typer.Exit(0 if result["is_well"] else 1)


def measure(cases: Sequence[Case], bar: Progress | None = None) -> dict[str, Any]:
    """Send all, and count."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corpora-")))
        dsn = stack.enter_context(temporary_postgres({"fsync": "off"})).dsn
        run(dsn, lambda one: one.execute(f"CREATE TABLE {TYPED} ({TYPED_COLUMNS})"))
        server = stack.enter_context(
            running_server(directory, dsn=dsn, workers=4, modes={}, more=("--create-tables", "--journal", "off"))
        )
        task = None if bar is None else bar.add_task("requests", total=len(cases))
        answers = asyncio.run(_send(server.url, cases, bar, task))
        stored = run(dsn, _rows)
        letters = run(dsn, lambda one: one.fetchval("SELECT count(*) FROM ingest.dead_letters"))
    return judged(cases, answers, stored, int(letters))


async def _send(url: str, cases: Sequence[Case], bar: Progress | None, task: TaskID | None) -> list[Answer]:
    answers: list[Answer] = [Answer(0)] * len(cases)
    waiting = iter(enumerate(cases))

    async def send() -> None:
        for number, case in waiting:
            answers[number] = await ask(url, case)
            if bar is not None and task is not None:
                bar.advance(task)

    await asyncio.gather(*(send() for _ in range(_IN_FLIGHT)))
    return answers


async def _rows(one: asyncpg.Connection) -> int:
    tables = await one.fetch("SELECT schemaname, relname FROM pg_stat_user_tables WHERE schemaname <> 'ingest'")
    quoted = [await one.fetchval("SELECT format('%I.%I', $1::text, $2::text)", *table) for table in tables]
    return sum([await one.fetchval(f"SELECT count(*) FROM {name}") for name in quoted])


def judged(cases: Sequence[Case], answers: Sequence[Answer], stored: int, letters: int) -> dict[str, Any]:
    """The result: counts, and every case that breaks the promise."""
    batches: dict[str, Any] = {}
    broken: list[dict[str, Any]] = []
    by_place: dict[str, Counter[str]] = {}
    for case, answer in zip(cases, answers, strict=True):
        by_place.setdefault(case.place, Counter())[str(answer.status)] += 1
        if answer.status >= 500 or answer.status < 0:
            broken.append({"case": case.name, "place": case.place, "status": answer.status, "answer": answer.body})
        if answer.status in (200, 202, 207) and isinstance(answer.body, dict) and "id" in answer.body:
            batches[answer.body["id"]] = answer.body  # the same name twice is one batch
    unsettled = [name for name, batch in batches.items() if batch["processed"] != batch["total"]]
    items = sum(batch["total"] for batch in batches.values())
    failed = sum(batch["failed"] for batch in batches.values())
    is_well = not broken and not unsettled and (items - failed, failed) == (stored, letters)
    return {
        "requests": len(cases),
        "answers": {place: dict(sorted(found.items())) for place, found in by_place.items()},
        "batches": len(batches),
        "items": items,
        "stored": stored,
        "dead_letters": letters,
        "unaccounted": items - stored - letters,
        "unsettled": unsettled,
        "broken": broken,
        "is_well": is_well,
    }


def show(result: dict[str, Any]) -> None:
    """The table, and what is broken."""
    console = Console()
    statuses = sorted({status for found in result["answers"].values() for status in found}, key=int)
    table = Table("place", *statuses, title="answers by status; 0: the connection was closed")
    for place, found in result["answers"].items():
        table.add_row(place, *(str(found.get(status, "")) for status in statuses))
    console.print(table)
    console.print(
        f"{result['requests']} requests · {result['items']} items accepted · {result['stored']} stored · "
        f"{result['dead_letters']} dead letters · unaccounted {result['unaccounted']} · broken {len(result['broken'])}",
        highlight=False,
    )
    for one in result["broken"][:_MOST_SHOWN]:
        console.print(
            f"  {one['status']} {one['case']} as {one['place']}: {one['answer']}", highlight=False, markup=False
        )
