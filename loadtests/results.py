"""What a run found: one `Cell` for each shape, number of workers and batch size; written as JSON as it stands."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from loadtests.measure import Outcome, Spread, percentile, ratios, spread
from loadtests.watch import Usage


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a cell stands in the grid."""

    shape: str
    workers: int
    batch_size: int


@dataclass(frozen=True, slots=True)
class Side:
    """One side of one cell in one round."""

    outcome: Outcome
    usage: Usage


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the request's start to the answer that it is committed, over the batches of all rounds."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Cell:
    """`ratio` is ours over the ceiling of the same round; CPU seconds are medians of the rounds."""

    shape: str
    workers: int
    batch_size: int
    items: int
    rounds: int
    items_per_second: Spread
    ceiling_items_per_second: Spread
    ratio: Spread
    latency_ms: Latency
    ceiling_latency_ms: Latency
    cpu_seconds_per_1000_items: dict[str, float]
    ceiling_cpu_seconds_per_1000_items: dict[str, float]
    server_rss_peak_bytes: int


@dataclass(frozen=True, slots=True)
class About:
    """What the result of any scenario says of its run: all that is needed to repeat it."""

    scenario: str
    date: str
    seconds: float
    seed: int
    arguments: dict[str, Any]
    machine: dict[str, str | int | float]
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Result(About):
    """A whole run."""

    mode: str
    cells: tuple[Cell, ...]


def cell(place: Place, ours: Sequence[Side], ceiling: Sequence[Side]) -> Cell:
    """The rounds of one place as one cell; both sides in the order of the rounds."""
    mine = [side.outcome.items_per_second for side in ours]
    theirs = [side.outcome.items_per_second for side in ceiling]
    return Cell(
        shape=place.shape,
        workers=place.workers,
        batch_size=place.batch_size,
        items=ours[0].outcome.items,
        rounds=len(ours),
        items_per_second=spread(mine),
        ceiling_items_per_second=spread(theirs),
        ratio=ratios(mine, theirs),
        latency_ms=_latency(ours),
        ceiling_latency_ms=_latency(ceiling),
        cpu_seconds_per_1000_items=_cpu(ours),
        ceiling_cpu_seconds_per_1000_items=_cpu(ceiling),
        server_rss_peak_bytes=max(side.usage.rss_peak for side in ours),
    )


def write_json(result: Any, path: Path) -> None:
    """Any scenario's result, a dataclass."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(asdict(result), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _latency(sides: Sequence[Side]) -> Latency:
    milliseconds = [seconds * 1000 for side in sides for seconds in side.outcome.latencies]
    return Latency(percentile(milliseconds, 0.5), percentile(milliseconds, 0.99))


def _cpu(sides: Sequence[Side]) -> dict[str, float]:
    parts = sides[0].usage.cpu
    return {
        part: percentile([side.usage.cpu[part] * 1000 / side.outcome.items for side in sides], 0.5) for part in parts
    }
