"""The plot: one small panel a series over the minutes, the faults as thin lines through all of them."""

import math
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from loadtests.plot import STYLE
from loadtests.soak.plan import Kind
from loadtests.soak.results import Done, Result
from loadtests.soak.table import shown
from loadtests.soak.verdict import MIB, SERIES, Series, Verdict

_LINE = "#0072B2"
_MIDDLE = "#D55E00"
# Outages stand through the whole panel; what happens every few seconds is a tick below.
_OUTAGES = {Kind.kill: ("#AA4499", "PostgreSQL killed, and away"), Kind.freeze: ("#E69F00", "PostgreSQL stopped")}
_TICKS = "#777777"
_COLUMNS = 2


def draw(result: Result) -> Figure:
    """A panel for each series, the judged ones with the medians that were compared."""
    rows = math.ceil(len(SERIES) / _COLUMNS)
    with mpl.rc_context({**STYLE, "font.size": 8.5, "axes.titlesize": 9.5}):
        figure = Figure(figsize=(11, 0.7 + 1.75 * rows), layout="constrained", facecolor="white")
        panels = figure.subplots(rows, _COLUMNS, squeeze=False, sharex=True).flatten()
        for axes, one, verdict in zip(panels, SERIES, result.verdicts, strict=False):
            _panel(axes, one, verdict, result)
        for axes in panels[len(SERIES) :]:
            axes.set_axis_off()
        for axes in panels[len(SERIES) - _COLUMNS : len(SERIES)]:
            axes.set_xlabel("minutes")
            axes.tick_params(labelbottom=True)
        figure.legend(handles=_legend(), loc="outside upper left", ncols=5, fontsize=8.5)
    return figure


def _panel(axes: Axes, one: Series, verdict: Verdict, result: Result) -> None:
    scale = MIB if one.unit == "B" else 1
    minutes = [at / 60 for at in result.samples.at]
    values = [math.nan if v is None else v / scale for v in result.samples.series[one.name]]
    _faults(axes, result.faults)
    axes.plot(minutes, values, color=_LINE, linewidth=0.9)
    if one.slack is not None:
        for first, last, middle in ((0.25, 0.5, verdict.second_quarter), (0.75, 1, verdict.last_quarter)):
            if middle is not None:
                height, end = middle / scale, minutes[-1]
                axes.plot([first * end, last * end], [height, height], color=_MIDDLE, linewidth=2.2)
    axes.set_title(_title(one, verdict), color="#C00000" if verdict.flat is False else "#222222")
    axes.set_xlim(0, max(minutes[-1], 0.01))
    axes.margins(y=0.12)
    low, high = axes.get_ylim()
    if low <= 0.6 * high:  # a series that comes near to nothing begins there
        axes.set_ylim(0, max(high, 1))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _faults(axes: Axes, faults: Sequence[Done]) -> None:
    for kind, (colour, _) in _OUTAGES.items():
        for fault in faults:
            if fault.kind is kind:
                axes.axvspan(fault.at / 60, (fault.at + fault.lasted) / 60, color=colour, alpha=0.45, linewidth=0.6)
    small = [fault.at / 60 for fault in faults if fault.kind not in _OUTAGES]
    axes.plot(small, [0.02] * len(small), "|", color=_TICKS, markersize=4, transform=axes.get_xaxis_transform())


def _title(one: Series, verdict: Verdict) -> str:
    unit = ", MiB" if one.unit == "B" else ""
    if verdict.flat is None:
        return f"{one.label}{unit}"
    said = "flat" if verdict.flat else "NOT FLAT"
    return f"{one.label}{unit} · {said}, {shown(one, verdict.drift, signed=True)}"


def _legend() -> list[Line2D]:
    return [
        Line2D([], [], color=_LINE, linewidth=1.2, label="seen"),
        Line2D([], [], color=_MIDDLE, linewidth=2.2, label="medians that are compared"),
        *(Line2D([], [], color=colour, linewidth=4, alpha=0.45, label=said) for colour, said in _OUTAGES.values()),
        Line2D([], [], color=_TICKS, linestyle="", marker="|", label="another fault"),
    ]
