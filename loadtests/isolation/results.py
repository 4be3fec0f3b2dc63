"""What a run found: a `Cell` for each mode, reason and number of bad items."""

from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.isolation.plan import Plan
from loadtests.measure import Spread, percentile, ratios, spread
from loadtests.results import About


@dataclass(frozen=True, slots=True)
class Run:
    """One batch of one round."""

    round: int
    mode: str
    reason: str
    bad: int
    statements: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of batch over the rounds; `over_good` is its time over that of the batch without bad items, same round."""

    mode: str
    reason: str
    bad: int
    statements: int
    milliseconds: Spread
    over_good: Spread


@dataclass(frozen=True, slots=True)
class Result(About):
    """A whole run."""

    items: int
    cells: tuple[Cell, ...]
    runs: tuple[Run, ...]


def cells(runs: Sequence[Run], plan: Plan) -> tuple[Cell, ...]:
    """Every cell, in the order of the plan."""
    return tuple(
        _cell([run for run in runs if (run.mode, run.reason) == (mode, reason)], bad)
        for mode in plan.modes
        for reason in plan.reasons
        for bad in plan.counts
    )


def _cell(runs: Sequence[Run], bad: int) -> Cell:
    good = {run.round: run.seconds for run in runs if run.bad == 0}
    mine = [run for run in runs if run.bad == bad]
    seconds = [run.seconds for run in mine]
    return Cell(
        mode=mine[0].mode,
        reason=mine[0].reason,
        bad=bad,
        statements=round(percentile([run.statements for run in mine], 0.5)),
        milliseconds=spread([1000 * one for one in seconds]),
        over_good=ratios(seconds, [good[run.round] for run in mine]),
    )
