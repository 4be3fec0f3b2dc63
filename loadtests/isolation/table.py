"""The result for the terminal."""

from rich import box
from rich.table import Table

from loadtests.isolation.plan import REASONS
from loadtests.isolation.results import Cell, Result

COLUMNS = ("mode", "how the bad ones are found", "bad", "statements", "ms", "p10–p90", "over a good batch")
WIDTH = 110
"""Characters that the table needs in a line."""


def table(result: Result) -> Table:
    """A row for each cell, a line after each mode and reason."""
    made = Table(box=box.SIMPLE_HEAD, title=f"batches of {result.items:,} items, the bad ones anywhere in them")
    for name in COLUMNS:
        made.add_column(name, justify="left" if name in COLUMNS[:2] else "right")
    last = max(cell.bad for cell in result.cells)
    for cell in result.cells:
        made.add_row(*words(cell), end_section=cell.bad == last)
    made.caption = (
        "statements: round trips to PostgreSQL, BEGIN to COMMIT · ms, and over the same batch without bad items: medians of "
        "the rounds"
    )
    return made


def words(cell: Cell) -> tuple[str, ...]:
    """One row, a word for each of `COLUMNS`."""
    time = cell.milliseconds
    return (
        cell.mode,
        REASONS[cell.reason].says,
        f"{cell.bad:,}",
        f"{cell.statements:,}",
        f"{time.median:,.1f}",
        f"{time.p10:,.1f}–{time.p90:,.1f}",
        f"{cell.over_good.median:,.1f} ×",
    )
