"""The plot: throughput and ratio to the ceiling against batch size, one line for each number of workers."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from loadtests.measure import Spread
from loadtests.report import SHAPES
from loadtests.results import Cell, Result

# Okabe and Ito's colours, told apart with every kind of colour vision; the markers say it once more
LINES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#AA4499", "D"), ("#E69F00", "v"), ("#555555", "P"))
STYLE: Any = {
    "svg.hashsalt": "loadtests",  # the same figures make the same bytes
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "figure.constrained_layout.hspace": 0.06,
}


def draw(result: Result) -> Figure:
    """One row of two plots for each shape."""
    shapes = [shape for shape in SHAPES if any(cell.shape == shape for cell in result.cells)]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 0.5 + 4.2 * len(shapes)), layout="constrained", facecolor="white")
        rows = figure.subplots(len(shapes), 2, squeeze=False)
        for (left, right), shape in zip(rows, shapes, strict=True):
            cells = [cell for cell in result.cells if cell.shape == shape]
            _throughput(left, cells, f"{result.mode}, {SHAPES[shape]}")
            _ratio(right, cells)
    return figure


def svg(figure: Figure) -> str:
    """The figure as an `<svg>` element to stand inside a page: no prologue, no metadata, no address of anything."""
    written = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawn = written.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    # inside HTML the namespaces are known, and say nothing
    drawn = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", drawn).replace("xlink:href", "href")
    return re.sub(
        r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 role="img" aria-labelledby="plot-says">', drawn, count=1
    )


def _throughput(axes: Axes, cells: Sequence[Cell], title: str) -> None:
    for line in _lines(cells):
        line.bars(axes, lambda cell: _thousands(cell.items_per_second), linestyle="-", label=line.label)
        line.bars(axes, lambda cell: _thousands(cell.ceiling_items_per_second), linestyle=":", faint=True)
    grey: Any = {"color": "#777777", "linestyle": ":", "marker": "o", "markerfacecolor": "white", "markersize": 4}
    axes.errorbar([], [], label="ceiling: COPY of tuples", **grey)
    axes.set_title(title)
    axes.set_ylabel("thousand items a second, committed (log scale)")
    axes.legend(fontsize=9)
    _scale(axes, cells)
    axes.set_yscale("log")  # the ceiling may be many times as high, and a small step of ours matters
    low, high = axes.get_ylim()
    if high < 6 * low:  # 1, 2 and 5 lie up to 2.5 apart: there shall be two ticks at least
        low, high = low / 2.5, high * 2.5
        axes.set_ylim(low, high)
    axes.set_yticks(
        [step * 10**power for power in range(-2, 5) for step in (1, 2, 5) if low <= step * 10**power <= high]
    )
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _ratio(axes: Axes, cells: Sequence[Cell]) -> None:
    for line in _lines(cells):
        line.bars(axes, lambda cell: cell.ratio, linestyle="-", label=line.label)
    axes.set_title("ratio to the ceiling of the same round (1 = the ceiling)")
    axes.set_ylabel("ours / ceiling")
    _scale(axes, cells)
    axes.set_ylim(0, 1.1 * max(cell.ratio.p90 for cell in cells))


class _Line:
    """The cells of one number of workers, in the same colour and with the same marker in every plot."""

    def __init__(self, number: int, of: int, workers: int, cells: Sequence[Cell]) -> None:
        self.label = f"{workers} worker{'s' if workers > 1 else ''}"
        self._colour, self._marker = LINES[number % len(LINES)]
        self._cells = cells
        self._aside = 1.04 ** (number - (of - 1) / 2)  # error bars stand beside each other

    def bars(
        self, axes: Axes, of: Callable[[Cell], Spread], *, linestyle: str, faint: bool = False, label: str | None = None
    ) -> None:
        spreads = [of(cell) for cell in self._cells]
        medians = [found.median for found in spreads]
        axes.errorbar(
            [cell.batch_size * self._aside for cell in self._cells],
            medians,
            yerr=[
                [found.median - found.p10 for found in spreads],
                [found.p90 - found.median for found in spreads],
            ],
            color=self._colour,
            marker=self._marker,
            markersize=4 if faint else 6,
            markerfacecolor="white" if faint else self._colour,
            linestyle=linestyle,
            linewidth=1.1 if faint else 1.8,
            elinewidth=0.8 if faint else 1.2,
            capsize=0 if faint else 2.5,
            alpha=0.6 if faint else 1,
            label=label,
        )


def _lines(cells: Sequence[Cell]) -> list[_Line]:
    workers = sorted({cell.workers for cell in cells})
    return [
        _Line(
            index, len(workers), number, sorted((c for c in cells if c.workers == number), key=lambda c: c.batch_size)
        )
        for index, number in enumerate(workers)
    ]


def _thousands(of: Spread) -> Spread:
    return Spread(of.median / 1000, of.p10 / 1000, of.p90 / 1000)


def _scale(axes: Axes, cells: Sequence[Cell]) -> None:
    sizes = sorted({cell.batch_size for cell in cells})
    axes.set_xscale("log")
    axes.set_xticks(sizes)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    axes.set_xlabel("items a batch (log scale)")
