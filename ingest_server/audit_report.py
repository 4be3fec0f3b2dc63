"""An audit for people: tables on a terminal, plain lines elsewhere."""

import sys
from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.table import Column, Table

from ingest_server.findings import ON_ITS_WAY, Findings, Place, Seen

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
    if console is None:
        # Into a file or a pipe a path goes whole, so that it can be searched for.
        console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE)
    console.print(f"crawl {findings.crawl}", markup=False)
    console.print(_counts(findings))
    if findings.seen:
        console.print(_batches(findings.seen))
    if len(findings.seen) > _MOST_ROWS:
        console.print(f"… and {len(findings.seen) - _MOST_ROWS} more: --json lists all of them")
    if findings.letters:
        console.print(_letters(findings, schema))
    if findings.delivered_already:
        console.print(f"{findings.delivered_already} batches in spool, refused or journal are delivered already")
    for note in findings.notes:
        console.print(f"note: {note}", markup=False)
    console.print(verdict(findings), markup=False)


def verdict(findings: Findings) -> str:
    """The audit in one sentence, with the remedy."""
    if findings.missing is None:
        return (
            "nobody knows how many items this crawl took: it has not been closed, and its spool was not found. If it runs"
            " still, ask again at its end; if it was killed, name the directory of its spool with --spool"
        )
    if findings.missing:
        places = ", ".join(f"{items} {place}" for place, items in _missing_by_place(findings) if items)
        return f"{findings.missing} items are missing: {places}"
    if findings.surplus:
        return f"nothing is missing; the server has {findings.surplus} items more than this crawl counted as taken"
    return "nothing is missing"


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
