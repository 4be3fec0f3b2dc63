"""What every part of the telemetry stands on: one registry, one clock, and how tables and batches are named."""

import logging
from collections.abc import Callable

import prometheus_client as prometheus
from prometheus_client import CollectorRegistry, Gauge, Histogram

from ingest_server.model import BatchHead, TableName

log = logging.getLogger("ingest_server")

OTHER = "(other)"
"""The label of all tables, or codes, above the bound."""
_TABLES = 200
_CODES = 100
# Up to the commit lag that warns finely; an outage of minutes must not fall into one heap.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Ground:
    """Makes the metrics. Each server has a registry of its own, so that several live in one process."""

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float], *, schema: str) -> None:
        self.clock = clock
        self.wall = wall
        self.schema = schema
        self.registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}
        self._tables = _Bounded(_TABLES, "tables")
        self._codes = _Bounded(_CODES, "codes of dead letters")

    def counter(self, name: str, text: str, *labels: str) -> prometheus.Counter:
        """A counter; Prometheus sees its name with `_total`."""
        return prometheus.Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """A gauge; asked for twice, the same one."""
        if name not in self._gauges:
            self._gauges[name] = Gauge(name, text, labels, registry=self.registry)
        return self._gauges[name]

    def histogram(self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = SECONDS) -> Histogram:
        """A histogram."""
        return Histogram(name, text, labels, registry=self.registry, buckets=buckets)

    def shown(self, table: TableName) -> str:
        """The table as people write it."""
        return table.shown(self.schema)

    def table_label(self, table: TableName) -> str:
        """The table as a label; `(other)` past the bound, for each label costs memory here and in Prometheus."""
        return self._tables.label(self.shown(table))

    def code_label(self, code: str) -> str:
        """A dead letter's code as a label; a trigger may make up codes of its own without end."""
        return self._codes.label(code)


class _Bounded:
    """The first so many names as they stand; all others share one label."""

    def __init__(self, limit: int, what: str) -> None:
        self._limit = limit
        self._what = what
        self._known: set[str] = set()
        self._is_full = False

    def label(self, name: str) -> str:
        if name in self._known:
            return name
        if len(self._known) < self._limit:
            self._known.add(name)
            return name
        if not self._is_full:
            self._is_full = True
            log.warning("metrics name the first %d %s; all others are counted as %s", self._limit, self._what, OTHER)
        return OTHER


class Facts:
    """A part of the telemetry: it makes its metrics on the common ground."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground


def about(ground: Ground, batch: BatchHead) -> dict[str, str]:
    """What a structured log line says of a batch besides its text: names, never content."""
    found = {"batch": str(batch.id), "table": ground.shown(batch.table)}
    return found | ({"crawl": batch.crawl} if batch.crawl else {})
