"""What the demo shows to a person: progress, rows, changed prices, dead letters."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from spiders.demo.figures import Look
from spiders.demo.tables import Reason, Row

_ROWS = 5
_PRICES = 10
_PLAIN_WIDTH = 110


def console(*, stderr: bool = False) -> Console:
    """A terminal as it is; a file or a pipe gets lines that are wide enough for the tables."""
    found = Console(stderr=stderr, highlight=False)
    if not found.is_terminal:
        found.width = max(found.width, _PLAIN_WIDTH)
    return found


class Progress(AbstractContextManager["Progress"]):
    """How many items of a crawl have settled: a bar in a terminal, a few plain lines elsewhere."""

    def __init__(self, console: Console, name: str, items: int) -> None:
        self._console = console
        self._name = name
        self._items = items
        self._said = -1
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("items settled, {task.fields[dead]} of them dead"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar = self._bars.add_task(name, total=items, dead=0)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, totals: Mapping[str, int]) -> None:
        """Show the server's totals of the crawl."""
        settled, dead = totals.get("processed", 0), totals.get("failed", 0)
        self._bars.update(self._bar, completed=settled, dead=dead)
        quarter = settled * 4 // max(self._items, 1)
        if not self._console.is_terminal and quarter > self._said:
            self._said = quarter
            self._console.print(f"{self._name}: {settled} of {self._items} items settled, {dead} of them dead")


def show_rows(console: Console, look: Look) -> None:
    """A few rows of the table."""
    table = Table(title=f"property: {len(look.after)} rows, for example", title_justify="left")
    for column in ("reference", "title", "city", "price", "beds", "listed on"):
        table.add_column(column, justify="right" if column in {"price", "beds"} else "left", no_wrap=column != "title")
    for key in sorted(look.after)[:_ROWS]:
        row = look.after[key]
        price, beds, listed_on = _price(row), str(row["bedrooms"]), row["listed_on"].isoformat()
        table.add_row(key, row["title"], row["city"], price, beds, listed_on)
    console.print(table)


def show_prices(console: Console, look: Look) -> None:
    """The prices that this crawl changed."""
    changed = sorted(look.changed)
    table = Table(title=f"{len(changed)} prices changed between the two crawls", title_justify="left")
    for column in ("reference", "title", "old", "new", "difference"):
        right = column in {"old", "new", "difference"}
        table.add_column(column, justify="right" if right else "left", no_wrap=column != "title")
    for key in changed[:_PRICES]:
        old, new = look.before[key], look.after[key]
        table.add_row(key, new["title"], _price(old), f"→ {_price(new)}", f"{new['price'] - old['price']:+,.2f}")
    if len(changed) > _PRICES:
        table.caption = f"and {len(changed) - _PRICES} more"
    console.print(table)


def show_reasons(console: Console, reasons: Sequence[Reason]) -> None:
    """Why items are among the dead letters."""
    table = Table(title=f"dead letters: {sum(reason.items for reason in reasons)} items", title_justify="left")
    table.add_column("items", justify="right")
    for column in ("code", "column", "reason"):
        table.add_column(column, no_wrap=column != "reason")
    for reason in reasons:
        table.add_row(str(reason.items), reason.code, reason.column or "", reason.message)
    console.print(table)


def _price(row: Row) -> str:
    return f"{row['currency']} {row['price']:,.2f}"
