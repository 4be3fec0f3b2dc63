"""What a soak found, as it is written to JSON."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from loadtests.results import About
from loadtests.soak.plan import Kind
from loadtests.soak.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Done:
    """A fault as it was: seconds from the start, seconds that it lasted, and what came of it."""

    at: float
    kind: Kind
    lasted: float
    said: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One count at the end."""

    what: str
    expected: int
    found: int

    @property
    def holds(self) -> bool:
        """Whether nothing is missing and nothing too many."""
        return self.expected == self.found


@dataclass(slots=True)
class Samples:
    """Seconds from the start, and for each series the value then, None where it could not be read."""

    at: list[float] = field(default_factory=list)
    series: dict[str, list[float | None]] = field(default_factory=dict)

    def add(self, at: float, values: dict[str, float | None]) -> None:
        self.at.append(at)
        for name, value in values.items():
            self.series.setdefault(name, []).append(value)


@dataclass(frozen=True, slots=True)
class Result(About):
    """A whole run. `ended` says why it ended before its time, if it did."""

    items: int
    ended: str
    verdicts: tuple[Verdict, ...]
    checks: tuple[Check, ...]
    faults: tuple[Done, ...]
    samples: Samples

    @property
    def is_flat(self) -> bool | None:
        """None for a run that was too short to say."""
        judged = [verdict.flat for verdict in self.verdicts if verdict.flat is not None]
        return all(judged) if judged else None

    @property
    def is_whole(self) -> bool:
        """Nothing lost, nothing twice, nothing left behind."""
        return all(check.holds for check in self.checks)


def write_json(result: Result, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(asdict(result), option=orjson.OPT_APPEND_NEWLINE))
