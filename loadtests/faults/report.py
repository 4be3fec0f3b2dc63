"""A run for the terminal and as JSON."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich import box
from rich.table import Table

from loadtests.faults.rounds import Outcome


@dataclass(slots=True)
class Report:
    """All rounds of a run. `breaches` are of the run itself: processes that were left behind."""

    seed: int
    outcomes: list[Outcome] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    seconds: float = 0.0
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def played(self) -> list[Outcome]:
        return [one for one in self.outcomes if not one.not_run]

    @property
    def items(self) -> int:
        return sum(one.findings.items for one in self.outcomes)

    @property
    def lost(self) -> int:
        return sum(one.findings.lost for one in self.outcomes)

    @property
    def twice(self) -> int:
        return sum(one.findings.twice for one in self.outcomes)

    @property
    def not_run(self) -> dict[str, str]:
        """Why, by the name of the fault."""
        return {one.round.name: one.not_run for one in self.outcomes if one.not_run}

    @property
    def failed(self) -> list[Outcome]:
        return [one for one in self.played if not one.is_good]

    @property
    def is_good(self) -> bool:
        return not self.failed and not self.breaches

    def by_name(self) -> dict[str, list[Outcome]]:
        found: dict[str, list[Outcome]] = {}
        for one in self.played:
            found.setdefault(one.round.name, []).append(one)
        return found

    def as_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "items": self.items,
            "lost": self.lost,
            "twice": self.twice,
            "faults": {
                name: {
                    "runs": len(ones),
                    "items": sum(one.findings.items for one in ones),
                    "lost": sum(one.findings.lost for one in ones),
                    "twice": sum(one.findings.twice for one in ones),
                    "scrapy_hangs": sum(one.scrapy_hangs for one in ones),
                    "seconds_to_healthy": _rounded(max(_healthy(ones), default=None)),
                    "seconds_to_healthy_p50": _rounded(statistics.median(_healthy(ones)) if _healthy(ones) else None),
                }
                for name, ones in self.by_name().items()
            },
            "not_run": self.not_run,
            "notes": [f"{one.round.name}: {said}" for one in self.played for said in one.notes],
            "breaches": [
                *self.breaches,
                *(f"{one.round.name}: {said}" for one in self.failed for said in one.breaches),
            ],
            "failed": [
                {
                    "again": one.round.again,
                    "lost": one.findings.lost,
                    "twice": one.findings.twice,
                    "breaches": one.breaches,
                    "examples": one.findings.examples,
                }
                for one in self.failed
            ],
            "minutes": round(self.seconds / 60, 2),
            "items_per_second": round(self.items / self.seconds) if self.seconds else 0,
            "machine": dict(self.machine),
            "versions": dict(self.versions),
        }

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(orjson.dumps(self.as_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def table(report: Report) -> Table:
    """A line for each fault, and what was not run with its reason."""
    found = Table(box=box.SIMPLE_HEAD, title=f"faults, seed {report.seed}", title_justify="left")
    found.add_column("fault", no_wrap=True)
    for name in ("runs", "items", "lost", "twice", "healthy p50 s", "max s"):
        found.add_column(name, justify="right")
    found.add_column("result", overflow="fold")
    for name, ones in report.by_name().items():
        found.add_row(name, *_words(ones))
    for name, reason in report.not_run.items():
        found.add_row(name, *["–"] * 6, f"not run: {reason}")
    found.add_section()
    found.add_row("all", f"{len(report.played)}", f"{report.items:,}", f"{report.lost:,}", f"{report.twice:,}", "", "")
    return found


def failures(outcomes: Sequence[Outcome]) -> list[str]:
    """What went wrong in each round, and the command that runs it again."""
    said = []
    for one in outcomes:
        said.append(f"{one.round.name} failed; again: {one.round.again}")
        said += [
            f"  {count:,} {word}"
            for word, count in (("lost", one.findings.lost), ("twice", one.findings.twice))
            if count
        ]
        said += [f"  {line}" for line in (*one.breaches, *one.findings.examples)]
    return said


def _words(ones: Sequence[Outcome]) -> tuple[str, ...]:
    healthy = _healthy(ones)
    hangs = sum(one.scrapy_hangs for one in ones)
    bad = sum(not one.is_good for one in ones)
    return (
        str(len(ones)),
        f"{sum(one.findings.items for one in ones):,}",
        f"{sum(one.findings.lost for one in ones):,}",
        f"{sum(one.findings.twice for one in ones):,}",
        f"{statistics.median(healthy):.1f}" if healthy else "–",
        f"{max(healthy):.1f}" if healthy else "–",
        ", ".join([f"{bad} failed" if bad else "good", *([f"{hangs} of Scrapy's hangs"] if hangs else [])]),
    )


def _healthy(ones: Sequence[Outcome]) -> list[float]:
    return [seconds for one in ones for seconds in one.seconds_to_healthy]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
