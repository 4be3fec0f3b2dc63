"""What a run among hostile clients found."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from loadtests.measure import percentile
from loadtests.results import About

GOAL_MS = 100
"""What 99 of 100 probes should take at most."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attack, nobody, or all at once; times in milliseconds, memory in bytes; `began` and `ended` in seconds."""

    name: str
    text: str
    connections: int
    began: float
    ended: float
    answers: Mapping[str, int]
    probes: int
    unanswered: int
    p50: float
    p99: float
    longest: float
    memory_peak: int
    honest_per_second: float

    @property
    def holds(self) -> bool:
        """Whether every probe was answered, 99 of 100 within the goal."""
        return not self.unanswered and self.p99 <= GOAL_MS


@dataclass(frozen=True, slots=True)
class Result(About):
    """A whole run; `limit` and `hard_limit` are the server's, in bytes. `named` is items, and so is what follows it."""

    limit: int
    hard_limit: int
    rows: tuple[Row, ...]
    memory: tuple[tuple[float, int], ...]
    named: int
    committed: int
    stored: int
    distinct: int

    @property
    def memory_peak(self) -> int:
        return max(size for _, size in self.memory)

    @property
    def is_whole(self) -> bool:
        """Of the honest clients' items nothing is lost, and nothing is there twice."""
        return self.named == self.committed == self.stored == self.distinct

    @property
    def is_below(self) -> bool:
        """Whether memory stayed below the limit all the time."""
        return self.memory_peak <= self.limit


def milliseconds(probes: list[float], share: float) -> float:
    """Of the answered ones."""
    answered = [one for one in probes if not math.isinf(one)]
    return percentile(answered, share) * 1000 if answered else math.inf


def write_json(result: Result, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(asdict(result), option=orjson.OPT_APPEND_NEWLINE))
