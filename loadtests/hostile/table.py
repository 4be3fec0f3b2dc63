"""The result for the terminal, and the words that terminal and plot share."""

from rich import box
from rich.table import Table

from loadtests.hostile.results import GOAL_MS, Result, Row

WIDTH = 140
MIB = 2**20
COLUMNS = ("attack", "connections", "answers", "memory, MiB", "livez p50", "p99", "max, ms", "honest items/s")


def words(row: Row) -> tuple[str, ...]:
    """One row, a word for each of `COLUMNS`."""
    answers = ", ".join(f"{status} {count:,}" for status, count in sorted(row.answers.items()))
    longest = "none" if row.unanswered else f"{row.longest:,.0f}"
    return (
        row.name,
        f"{row.connections:,}",
        answers or "–",
        f"{row.memory_peak / MIB:,.0f}",
        f"{row.p50:,.1f}",
        f"{row.p99:,.0f}",
        longest,
        f"{row.honest_per_second:,.0f}",
    )


def says(result: Result) -> str:
    """The whole in a few sentences."""
    over = [row.name for row in result.rows if not row.holds]
    below = "below" if result.is_below else "ABOVE"
    whole = "nothing lost, nothing twice" if result.is_whole else "the counts do NOT agree"
    probes = f"99 of 100 within {GOAL_MS} ms in every row" if not over else f"p99 above {GOAL_MS} ms: {', '.join(over)}"
    return (
        f"Resident memory peaked at {result.memory_peak / MIB:,.0f} MiB, {below} the limit of {result.limit / MIB:,.0f}. "
        f"/livez: {probes}. "
        f"Honest clients: {result.committed:,} items answered as committed, {result.stored:,} stored, "
        f"{result.distinct:,} distinct: {whole}."
    )


def table(result: Result) -> Table:
    found = Table(*COLUMNS, box=box.SIMPLE_HEAD)
    for column in found.columns[3:]:
        column.justify = "right"
    for row in result.rows:
        found.add_row(*words(row), style="" if row.holds else "red")
    return found
