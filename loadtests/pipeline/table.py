"""The result for the terminal, and the words that terminal and page share."""

from collections.abc import Callable

from rich import box
from rich.table import Table

from loadtests.measure import Spread
from loadtests.pipeline.plan import SHAPES
from loadtests.pipeline.results import Cell, Goal, Result

COLUMNS = (
    "kind",
    "contender",
    "items",
    "items/s",
    "µs",
    "above empty",
    "p10–p90",
    "CPU µs",
    "above empty",
    "of empty",
    "p10–p90",
)
GOAL_COLUMNS = ("ratio", "what", "median", "p10–p90", "scraping", "of CPU", "goal", "")
WIDTH = 118
"""Characters that the tables need in a line."""

LEGEND = (
    "µs: of the clock for one item, from the first callback to the end of the crawl · above empty: less the empty pipeline "
    "of the same round · CPU: of the crawl's process, all threads · of empty: items/s over the empty pipeline's of the "
    "same round · medians over the rounds"
)
GOAL_LEGEND = (
    "ours/empty: throughput over the empty pipeline's · ours/feed: time per item over the JSON Lines feed's, the whole crawl's · "
    "over all kinds and sizes of the shape · scraping: the same ratio of the time up to the last item, without the crawl's "
    "closing · of CPU: of the crawl's CPU · met: by the median of the whole crawl"
)


def words(cell: Cell) -> tuple[str, ...]:
    """One row, a word for each of `COLUMNS`."""
    return (
        cell.kind,
        cell.contender,
        f"{cell.items:,}",
        f"{cell.items_per_second.median:,.0f}",
        f"{cell.micros.median:,.1f}",
        _said(cell.above_empty_micros, lambda one: f"{one.median:+,.1f}"),
        _said(cell.above_empty_micros, lambda one: f"{one.p10:+,.1f}–{one.p90:+,.1f}"),
        f"{cell.cpu_micros.median:,.1f}",
        _said(cell.above_empty_cpu_micros, lambda one: f"{one.median:+,.1f}"),
        _said(cell.of_empty, lambda one: f"{one.median:.3f}"),
        _said(cell.of_empty, _range),
    )


def goal_words(goal: Goal, result: Result) -> tuple[str, ...]:
    """One row, a word for each of `GOAL_COLUMNS`."""
    found, cpu = result.ratios.get(goal.ratio), result.cpu_ratios.get(goal.ratio)
    scraping = result.scraping_ratios.get(goal.ratio)
    return (
        goal.ratio,
        goal.says,
        _said(found, lambda one: f"{one.median:.3f}"),
        _said(found, _range),
        _said(scraping, lambda one: f"{one.median:.3f}"),
        _said(cpu, lambda one: f"{one.median:.3f}"),
        f"≥ {goal.least:.2f}" if goal.least is not None else f"< {goal.most:.2f}",
        "not measured" if goal.met is None else "met" if goal.met else "MISSED",
    )


def title(shape: str, asked: int) -> str:
    return f"{SHAPES[shape]}, {asked:,} items"


def rows(result: Result, shape: str, asked: int) -> list[tuple[Cell, bool]]:
    """The cells of a table, each with whether it is the last of its kind."""
    found = [cell for cell in result.cells if (cell.shape, cell.asked) == (shape, asked)]
    return [
        (one, after is None or after.kind != one.kind) for one, after in zip(found, [*found[1:], None], strict=True)
    ]


def cells(result: Result, shape: str, asked: int) -> Table:
    """A row for each kind and contender; ours stands out."""
    drawn = _table(title(shape, asked), LEGEND, COLUMNS, lefts=2)
    for cell, is_last in rows(result, shape, asked):
        drawn.add_row(*words(cell), style="bold" if cell.contender == "ours" else "", end_section=is_last)
    return drawn


def goals(result: Result) -> Table:
    """A row for each goal; what was missed stands out."""
    drawn = _table("goals", GOAL_LEGEND, GOAL_COLUMNS, lefts=2)
    for goal in result.goals:
        drawn.add_row(*goal_words(goal, result), style="bold red" if goal.met is False else "")
    return drawn


def _table(title: str, caption: str, names: tuple[str, ...], lefts: int) -> Table:
    drawn = Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for number, name in enumerate(names):
        drawn.add_column(name, justify="left" if number < lefts else "right")
    return drawn


def _said(found: Spread | None, words_of: Callable[[Spread], str]) -> str:
    return "–" if found is None else words_of(found)


def _range(found: Spread) -> str:
    return f"{found.p10:.3f}–{found.p90:.3f}"
