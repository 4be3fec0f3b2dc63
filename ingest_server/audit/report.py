"""An audit for people: tables on a terminal, plain lines elsewhere."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from ingest_server.audit.findings import ON_ITS_WAY, Findings, Place, Seen
from ingest_server.postgres.ledger.crawls import LatestCrawl

_MOST_ROWS = 50
_WIDE = 2000
_PLACES: dict[Place, str] = {
    "server": "waiting in a running server",
    "running crawl": "held by the crawl, which still runs",
    "journal": "in a journal without an owner: the next server on it delivers it",
    "spool": "in the spool: the next crawl there delivers it",
    "refused": "refused by a server, in the spool with the problem",
    "nowhere": "missing and not seen anywhere",
}


def print_report(findings: Findings, schema: str, *, console: Console | None = None) -> None:
    """Write the report to standard output."""
    console = console or _console()
    console.print(f"crawl {findings.crawl}", markup=False)
    console.print(_counts(findings))
    if findings.seen:
        console.print(_batches(findings.seen))
    if len(findings.seen) > _MOST_ROWS:
        console.print(f"… and {len(findings.seen) - _MOST_ROWS} more: --json lists all of them")
    if findings.letters:
        console.print(_letters(findings, schema))
    if findings.delivered_already:
        batches = "1 batch" if findings.delivered_already == 1 else f"{findings.delivered_already} batches"
        console.print(f"delivered already: {batches} in spool, refused or journal")
    for note in findings.notes:
        console.print(f"note: {note}", markup=False)
    console.print(verdict(findings), markup=False)


def print_crawls(crawls: Sequence[LatestCrawl], *, console: Console | None = None) -> None:
    """Write the latest crawls to standard output, newest first."""
    console = console or _console()
    if not crawls:
        console.print("this database knows of no crawl")
        return
    table = Table("crawl", "reason", "closed", "items", "expected", "processed", box=None, pad_edge=False)
    for column in table.columns[3:]:
        column.justify = "right"
    for one in crawls_as_json(crawls):
        table.add_row(*("-" if value is None else _plain(str(value)) for value in one.values()))
    console.print(table)


def crawls_as_json(crawls: Sequence[LatestCrawl]) -> list[dict[str, Any]]:
    """For programs."""
    return [
        {
            "crawl": one.crawl,
            "reason": one.totals.reason,
            "closed": one.totals.closed_at.isoformat(timespec="seconds") if one.totals.closed_at else None,
            "items": one.totals.items,
            "expected": one.totals.expected,
            "processed": one.totals.inserted + one.totals.updated + one.totals.unchanged + one.totals.failed,
        }
        for one in crawls
    ]


def _console() -> Console:
    # Into a file or a pipe a path goes whole, so that it can be searched for.
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE)


def verdict(findings: Findings) -> str:
    """The audit in one sentence, with the remedy."""
    if findings.missing is None:
        return (
            "nobody knows how many items this crawl took: it has not been closed, and its spool was not found. If it runs"
            " still, ask again at its end; if it was killed, name the directory of its spool with --spool"
        )
    if findings.missing:
        places = ", ".join(f"{items} {place}" for place, items in _missing_by_place(findings) if items)
        if findings.is_open:
            return (
                f"it could not be said what is missing: {places}, which may wait in a running server whose journal is in use"
                " and which could not be asked; name it with --url"
            )
        said = f"{_items(findings.missing)} missing: {places}"
        return f"{said}. {_surplus(findings.surplus)}" if findings.surplus else said
    if findings.surplus:
        return _surplus(findings.surplus)
    return "nothing is missing"


def _surplus(items: int) -> str:
    return f"the counts differ: {items} more than the crawl took; where BATCHING_CRAWL_ID is set, give every run an id of its own"


def _items(items: int) -> str:
    return "1 item is" if items == 1 else f"{items} items are"


def _missing_by_place(findings: Findings) -> Iterable[tuple[str, int]]:
    yield "in a journal", findings.items_in("journal")
    yield "in the spool", findings.items_in("spool")
    yield "refused", findings.items_in("refused")
    yield "dropped by the crawl (its log says why)", findings.dropped or 0
    yield "not seen anywhere", findings.nowhere or 0


def _counts(findings: Findings) -> Table:
    table = Table("items", "", "what", box=None, pad_edge=False)
    table.columns[0].justify = "right"

    def row(items: int | None, what: str, note: str = "") -> None:
        if items is not None:
            table.add_row(str(items), what, note)

    row(findings.items, "taken by the crawl", f"says {findings.said_by}")
    row(findings.rejected or None, "rejected", "could not be encoded, or a server refused them for good")
    row(findings.dropped or None, "dropped", "neither server nor disk took them")
    row(findings.settled, "settled", f"{findings.succeeded} in the tables, {findings.failed} failed")
    for place, text in _PLACES.items():
        items = (findings.nowhere or 0) if place == "nowhere" else findings.items_in(place)
        row(items or None, "pending" if place in ON_ITS_WAY else "missing", text)
    row(findings.surplus or None, "more than taken", "other runs under the same id, or items without a crawl's count")
    return table


def _batches(seen: tuple[Seen, ...]) -> Table:
    table = Table("batch", "table", "items", Column("last seen", overflow="fold"), box=None, pad_edge=False)
    table.columns[2].justify = "right"
    for one in seen[:_MOST_ROWS]:
        note = f" ({one.note})" if one.note else ""
        table.add_row(str(one.id), _plain(one.table), str(one.items), _plain(f"{one.place}: {one.where}{note}"))
    return table


def _letters(findings: Findings, schema: str) -> Table:
    table = Table("dead letters", "table", "code", "column", box=None, pad_edge=False)
    counts: Counter[tuple[str, str, str]] = Counter()
    for one in findings.letters:
        counts[one.table.shown(schema), one.code, one.column or "-"] += one.count
    for (name, code, column), count in counts.most_common():
        table.add_row(str(count), _plain(name), _plain(code), _plain(column))
    return table


def _plain(text: str) -> str:
    """Somebody else's words: no markup of rich's, and no line of their own."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text).replace("[", r"\[")
