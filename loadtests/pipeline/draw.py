"""The plot: for each shape and size the time of an item, and the throughput beside an empty pipeline."""

from collections.abc import Callable, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from loadtests.measure import Spread
from loadtests.pipeline.plan import LEASTS
from loadtests.pipeline.results import Cell, Result
from loadtests.pipeline.table import title
from loadtests.plot import LINES, STYLE


def draw(result: Result) -> Figure:
    """One row of two plots for each shape and number of items."""
    places = list(dict.fromkeys((cell.shape, cell.asked) for cell in result.cells))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 0.6 + 3.6 * len(places)), layout="constrained", facecolor="white")
        panels = figure.subplots(len(places), 2, squeeze=False)
        for (left, right), (shape, asked) in zip(panels, places, strict=True):
            cells = [cell for cell in result.cells if (cell.shape, cell.asked) == (shape, asked)]
            _points(left, cells, lambda cell: cell.micros)
            left.set_title(title(shape, asked))
            left.set_ylabel("µs an item (log scale)")
            left.set_yscale("log")
            left.yaxis.set_minor_locator(NullLocator())
            left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            low, high = left.get_ylim()
            left.set_yticks([s * 10**p for p in range(6) for s in (1, 2, 5) if low <= s * 10**p <= high])
            _points(right, cells, lambda cell: cell.of_empty)
            right.axhline(1, color="#666666", linewidth=0.9)
            least = LEASTS[shape][1]
            right.axhline(least, color="#C00000", linewidth=0.9, linestyle=":")
            right.set_title(f"throughput over the empty pipeline's (dotted: the goal, {least:.2f})")
            right.set_ylim(bottom=0)
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=6, fontsize=9)
    return figure


def _points(axes: Axes, cells: Sequence[Cell], of: Callable[[Cell], Spread | None]) -> None:
    """A point with its bar for each contender and kind; a contender has its colour and marker in every panel."""
    kinds = list(dict.fromkeys(cell.kind for cell in cells))
    contenders = list(dict.fromkeys(cell.contender for cell in cells))
    for number, contender in enumerate(contenders):
        colour, marker = _LOOKS[contender]
        aside = 0.12 * (number - (len(contenders) - 1) / 2)
        found = {cell.kind: spread for cell in cells if cell.contender == contender and (spread := of(cell))}
        axes.errorbar(
            [kinds.index(kind) + aside for kind in found],
            [one.median for one in found.values()],
            yerr=[[one.median - one.p10 for one in found.values()], [one.p90 - one.median for one in found.values()]],
            color=colour,
            marker=marker,
            linestyle="",
            markersize=6,
            capsize=2.5,
            label=contender,
        )
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set_xlim(-0.5, len(kinds) - 0.5)


_LOOKS = dict(zip(("ours", "psycopg", "feed", "asyncpg", "empty", "none"), LINES, strict=True))
