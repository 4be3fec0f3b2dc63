"""`scrapy batches status`: what lies in the spool. Changes nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scrapy_batching.commands.output import day_and_time, in_words, print_json, print_table
from scrapy_batching.spool.finding import Lying, lying
from scrapy_batching.spool.stock import State, Stock, take_stock
from scrapy_batching.words import in_batches

_COLUMNS = ("run", "crawl", "spider", "since", "table", "batches", "items", "bytes", "state")
_ID_COLUMNS = ("id", "crawl", "since", "table", "items", "bytes", "state")


def show_status(spool: Path, *, ids: bool, as_json: bool) -> None:
    """A row for each run and table, or with `ids` one for each batch."""
    rows: Sequence[Stock] | Sequence[Lying] = lying(spool) if ids else take_stock(spool)
    if as_json:
        print_json({"spool": str(spool), "rows": [in_json(one) for one in rows]})
    elif rows:
        print_table([_ID_COLUMNS if ids else _COLUMNS, *map(_cells, rows)])
        batches = sum(one.batches if isinstance(one, Stock) else 1 for one in rows)
        print(f"total: {in_batches(sum(one.items for one in rows), batches)}, {sum(one.size for one in rows)} bytes")
    else:
        print(f"nothing lies in {spool}")


def total(rows: Iterable[Stock], state: State) -> dict[str, int]:
    """Batches and items in one state."""
    ones = [one for one in rows if one.state == state]
    return {"batches": sum(one.batches for one in ones), "items": sum(one.items for one in ones)}


def in_json(one: Stock | Lying) -> dict[str, Any]:
    """Its fields; the size is called bytes, as in the table."""
    row = asdict(one)
    row["bytes"] = row.pop("size")
    if "path" in row:
        row["path"] = str(row["path"])
    return row


def _cells(one: Stock | Lying) -> Sequence[str]:
    since, state = day_and_time(one.since), in_words(one.state, one.pid)
    if isinstance(one, Lying):
        return one.id, one.crawl, since, one.table, str(one.items), str(one.size), state
    return (
        *(one.run or "-", one.crawl, one.spider or "-", since, one.table),
        *(str(one.batches), str(one.items), str(one.size), state),
    )
