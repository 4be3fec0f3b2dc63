"""What a run found: every crawl as it was, a `Cell` for each place, and the ratios that the goals are about."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loadtests.measure import Spread, ratios, spread
from loadtests.pipeline.plan import ITEM_A_PAGE, LEASTS, ONE_PAGE, Crawl, Place, Plan
from loadtests.results import About


@dataclass(frozen=True, slots=True)
class Run:
    """One crawl of one round."""

    round: int
    place: Place
    contender: str
    crawl: Crawl

    @property
    def micros(self) -> float:
        """Microseconds of the clock for an item."""
        return self.crawl.seconds / self.crawl.items * 1e6

    @property
    def scraping_micros(self) -> float:
        """The same up to the last item, without the crawl's closing."""
        return (self.crawl.seconds - self.crawl.closing_seconds) / self.crawl.items * 1e6

    @property
    def cpu_micros(self) -> float:
        """Microseconds of the crawl's CPU for an item."""
        return self.crawl.cpu_seconds / self.crawl.items * 1e6


@dataclass(frozen=True, slots=True)
class Cell:
    """One contender at one place, over the rounds. `above_empty` is less the empty pipeline of the same round.

    Microseconds are of one item; `of_empty` is throughput over that of the empty pipeline of the same round.
    """

    shape: str
    kind: str
    asked: int
    contender: str
    items: int
    rounds: int
    items_per_second: Spread
    micros: Spread
    cpu_micros: Spread
    above_empty_micros: Spread | None
    above_empty_cpu_micros: Spread | None
    of_empty: Spread | None


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio that has to be at least, or at most, so much; `met` is None where it was not measured."""

    ratio: str
    says: str
    least: float | None
    most: float | None
    met: bool | None


@dataclass(frozen=True, slots=True)
class Result(About):
    """A whole run. `ratios` are of the time of whole crawls, closing included.

    The same of the time up to the last item are `scraping_ratios`, and of CPU `cpu_ratios`.
    """

    ratios: dict[str, Spread]
    scraping_ratios: dict[str, Spread]
    cpu_ratios: dict[str, Spread]
    goals: tuple[Goal, ...]
    cells: tuple[Cell, ...]
    runs: tuple[dict[str, Any], ...]


def result_of(
    runs: Sequence[Run],
    plan: Plan,
    *,
    date: str,
    seconds: float,
    machine: dict[str, str | int | float],
    versions: dict[str, str],
) -> Result:
    """The crawls, in the order in which they were made, as a result."""
    found = _ratios(runs, plan, lambda run: run.micros)
    return Result(
        scenario="pipeline",
        date=date,
        seconds=seconds,
        seed=plan.seed,
        arguments=asdict(plan),
        machine=machine,
        versions=versions,
        ratios=found,
        scraping_ratios=_ratios(runs, plan, lambda run: run.scraping_micros),
        cpu_ratios=_ratios(runs, plan, lambda run: run.cpu_micros),
        goals=_goals(found, plan),
        cells=tuple(_cell(runs, place, contender) for place in plan.places for contender in plan.contenders),
        runs=tuple(
            {"round": run.round, **asdict(run.place), "asked": run.place.items, "contender": run.contender}
            | asdict(run.crawl)
            for run in runs
        ),
    )


def _ratios(runs: Sequence[Run], plan: Plan, of: Callable[[Run], float]) -> dict[str, Spread]:
    """Of the same round and place, taken together over all places that a key speaks of."""
    found = {}
    for shape in plan.shapes:
        for kind in (None, *plan.kinds):
            chosen = [run for run in runs if run.place.shape == shape and kind in (None, run.place.kind)]
            sides = {name: [of(run) for run in _in_order(chosen, name)] for name in ("ours", "empty", "feed")}
            name = f"{shape}:{kind}" if kind else shape
            if sides["ours"] and sides["empty"]:
                found[f"ours/empty:{name}"] = ratios(sides["empty"], sides["ours"])
            if sides["ours"] and sides["feed"] and kind:
                found[f"ours/feed:{name}"] = ratios(sides["ours"], sides["feed"])
    # Under its short name stands the harder one: where nothing but items is done.
    for shape in (ITEM_A_PAGE, ONE_PAGE):
        if f"ours/empty:{shape}" in found:
            found["ours/empty"] = found[f"ours/empty:{shape}"]
        for kind in plan.kinds:
            if f"ours/feed:{shape}:{kind}" in found:
                found[f"ours/feed:{kind}"] = found[f"ours/feed:{shape}:{kind}"]
    return dict(sorted(found.items()))


def _in_order(runs: Sequence[Run], contender: str) -> list[Run]:
    """The crawls of one contender, so that those of two contenders stand side by side."""
    return sorted((run for run in runs if run.contender == contender), key=lambda run: (run.round, run.place))


def _cell(runs: Sequence[Run], place: Place, contender: str) -> Cell:
    here = [run for run in runs if run.place == place]
    mine, empty = _in_order(here, contender), _in_order(here, "empty")

    def above(of: Callable[[Run], float]) -> Spread | None:
        pairs = zip(mine, empty, strict=True) if empty else ()
        return spread([of(one) - of(other) for one, other in pairs]) if empty else None

    return Cell(
        shape=place.shape,
        kind=place.kind,
        asked=place.items,
        contender=contender,
        items=mine[0].crawl.items,
        rounds=len(mine),
        items_per_second=spread([1e6 / run.micros for run in mine]),
        micros=spread([run.micros for run in mine]),
        cpu_micros=spread([run.cpu_micros for run in mine]),
        above_empty_micros=above(lambda run: run.micros),
        above_empty_cpu_micros=above(lambda run: run.cpu_micros),
        of_empty=ratios([run.micros for run in empty], [run.micros for run in mine]) if empty else None,
    )


def _goals(found: Mapping[str, Spread], plan: Plan) -> tuple[Goal, ...]:
    wanted: list[tuple[str, str, float | None, float | None]] = [
        *((f"ours/empty:{shape}", says, least, None) for shape, (says, least) in LEASTS.items()),
        *((f"ours/feed:{kind}", f"time per item beside the feed's, {kind}", None, 1.0) for kind in plan.kinds),
    ]
    return tuple(Goal(*goal, met=_met(found.get(goal[0]), goal[2], goal[3])) for goal in wanted)


def _met(ratio: Spread | None, least: float | None, most: float | None) -> bool | None:
    if ratio is None:
        return None
    return (least is None or ratio.median >= least) and (most is None or ratio.median < most)
