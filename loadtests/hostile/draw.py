"""Two plots: memory over the time of the run, and what probes and honest clients saw in each attack."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.hostile.results import GOAL_MS, Result
from loadtests.plot import STYLE

_BLUE, _RED, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
_MIB = 2**20


def draw_memory(result: Result) -> Figure:
    """Resident memory, the limits, and which attack went on when."""
    with mpl.rc_context({**STYLE, "font.size": 9}):
        figure = Figure(figsize=(11, 4.8), layout="constrained", facecolor="white")
        axes = figure.subplots()
        axes.plot([at for at, _ in result.memory], [size / _MIB for _, size in result.memory], color=_BLUE, linewidth=1)
        for limit, said in ((result.limit, "limit"), (result.hard_limit, "hard limit")):
            axes.axhline(limit / _MIB, color=_RED, linewidth=1, linestyle="--" if limit == result.limit else ":")
            axes.annotate(said, (result.memory[-1][0], limit / _MIB), ha="right", va="bottom", color=_RED, fontsize=8)
        for number, row in enumerate(result.rows):
            axes.axvspan(row.began, row.ended, color="#e9eef4" if number % 2 else "#f4efe6", linewidth=0)
            place = (row.began + row.ended) / 2
            axes.text(
                place, result.hard_limit / _MIB * 1.05, row.name, rotation=60, ha="left", va="bottom", fontsize=7.5
            )
        axes.set_ylim(0, result.hard_limit / _MIB * 1.04)
        axes.set_xlim(0, result.memory[-1][0])
        axes.set_xlabel("seconds")
        axes.set_ylabel("resident memory of the server, MiB")
    return figure


def draw_probes(result: Result) -> Figure:
    """The times of /livez and the honest clients' throughput, a line for each attack."""
    with mpl.rc_context({**STYLE, "font.size": 9}):
        figure = Figure(figsize=(11, max(3.5, 1.2 + 0.3 * len(result.rows))), layout="constrained", facecolor="white")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        _probes(left, result)
        places = range(len(result.rows))
        right.barh(places, [row.honest_per_second for row in result.rows], color=_GREEN, height=0.6)
        right.set_title("honest clients: items committed a second")
        left.set_yticks(list(places), [row.name for row in result.rows])
        left.invert_yaxis()
    return figure


def _probes(axes: Axes, result: Result) -> None:
    for place, row in enumerate(result.rows):
        axes.plot([row.p50, row.longest], [place, place], color="#cccccc", linewidth=1.2, zorder=1)
    places = range(len(result.rows))
    for name, marker, colour in (("p50", "o", _BLUE), ("p99", "s", _RED), ("longest", "|", _GREY)):
        values = [getattr(row, name) for row in result.rows]
        axes.plot(values, places, marker, color=colour, markersize=6, label="max" if name == "longest" else name)
    axes.axvline(GOAL_MS, color=_RED, linewidth=1, linestyle=":")
    axes.set_xscale("log")
    axes.set_title(f"/livez on a new connection, ms (dotted: the goal for p99, {GOAL_MS} ms)")
    axes.legend(loc="upper right", fontsize=8)


def save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        figure.savefig(path, dpi=110, metadata={"Software": None})
