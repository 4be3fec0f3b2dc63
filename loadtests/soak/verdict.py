"""Flat or not: the second quarter of the run against its last one, by their medians, which no spike moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from loadtests.measure import percentile

MIB = 2**20
RATIO = 1.15
JUDGED_SECONDS = 120.0
"""A shorter run says nothing about growth: it is all warm-up."""

_TREND_POINTS = 300
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Series:
    """One line of the plot. It may grow by `slack`, in its own unit, or lie below `bound` for good; None: not judged."""

    name: str
    label: str
    unit: str = ""
    slack: float | None = None
    bound: float = 0.0


SERIES = (
    Series("items_per_second", "committed, items a second"),
    Series("server_rss", "server: resident memory", "B", 16 * MIB),
    Series("server_files", "server: file handles", "", 8),
    Series("server_threads", "server: threads", "", 4),
    Series("queue_batches", "server: batches that wait or are written", "", 8),
    Series("queue_bytes", "server: bytes that wait or are written", "B", 4 * MIB),
    # SQLite's log may grow to 64 MiB, and as much that is free stays in the file: ingest_server/queues
    Series("journal", "server: journal on disk", "B", 4 * MIB, bound=(64 + 64 + 8) * MIB),
    Series("connections", "PostgreSQL: connections of the server", "", 2, bound=8),  # workers and four that read
    Series("wal", "PostgreSQL: pg_wal on disk", "B", 32 * MIB, bound=(256 + 64) * MIB),
    Series("database", "PostgreSQL: the database on disk", "B"),
    Series("crawl_rss", "long crawl: resident memory", "B", 16 * MIB),
    Series("crawl_files", "long crawl: file handles", "", 8),
    Series("spool", "crawls: spool on disk", "B", 4 * MIB),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Medians of the first tenth, the whole, the second and the last quarter; the peak; `flat` is None if not judged.

    `per_day` is the slope of the second half (Theil–Sen: the median of the slopes between all pairs), in units a day.
    """

    name: str
    start: float | None
    median: float | None
    peak: float | None
    second_quarter: float | None
    last_quarter: float | None
    per_day: float | None
    flat: bool | None

    @property
    def drift(self) -> float | None:
        """How much higher the last quarter lies than the second."""
        if self.second_quarter is None or self.last_quarter is None:
            return None
        return self.last_quarter - self.second_quarter


def judge(series: Series, at: Sequence[float], values: Sequence[float | None]) -> Verdict:
    """The verdict over samples taken `at` seconds from the start; what could not be read then is None."""
    seconds = at[-1] if at else 0.0
    points = [(when, value) for when, value in zip(at, values, strict=True) if value is not None]
    second = _median(points, 0.25 * seconds, 0.5 * seconds)
    last = _median(points, 0.75 * seconds, seconds)
    return Verdict(
        name=series.name,
        start=_median(points, 0.0, 0.1 * seconds),
        median=_median(points, 0.0, seconds),
        peak=max((value for _, value in points), default=None),
        second_quarter=second,
        last_quarter=last,
        per_day=_per_day([point for point in points if point[0] >= seconds / 2]),
        flat=_flat(series, second, last) if seconds >= JUDGED_SECONDS else None,
    )


def _flat(series: Series, second: float | None, last: float | None) -> bool | None:
    if series.slack is None:
        return None
    if second is None or last is None:  # a series that nobody could read for a quarter of the run is not "flat"
        return False
    return last <= max(RATIO * second, second + series.slack, series.bound)


def _median(points: Sequence[tuple[float, float]], first: float, last: float) -> float | None:
    inside = [value for when, value in points if first <= when <= last]
    return percentile(inside, 0.5) if inside else None


def _per_day(points: Sequence[tuple[float, float]]) -> float | None:
    step = max(1, -(-len(points) // _TREND_POINTS))
    slopes = [(b - a) / (later - at) for (at, a), (later, b) in combinations(points[::step], 2) if later > at]
    return percentile(slopes, 0.5) * _DAY if slopes else None
