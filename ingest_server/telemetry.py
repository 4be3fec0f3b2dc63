"""One call per fact: it logs and counts. Nothing here names an item's content or a secret."""

import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import prometheus_client as prometheus
from prometheus_client import CollectorRegistry, Gauge, Histogram

from ingest_server.model import Batch, Settled, TableName

log = logging.getLogger("ingest_server")

_REFUSALS_QUIET_SECONDS = 10.0
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a table cannot be written, and since when (seconds since 1970)."""

    reason: str
    since: float


class Telemetry:
    """The server's facts. Each server has a registry of its own, so that several live in one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, schema: str = "public") -> None:
        self._clock = clock
        self._schema = schema
        self._refusals_logged_at = -math.inf
        self._away_since: float | None = None
        self._wrong_tables: dict[TableName, Trouble] = {}
        self._counts: dict[TableName, Counter[str]] = {}
        self._accepted_at: dict[tuple[str, object], float] = {}
        self.registry = registry = CollectorRegistry()
        self._batches_accepted = prometheus.Counter(
            "ingest_batches_accepted", "Batches taken in", ["table"], registry=registry
        )
        self._items_accepted = prometheus.Counter(
            "ingest_items_accepted", "Items taken in", ["table"], registry=registry
        )
        self._bytes_accepted = prometheus.Counter("ingest_bytes_accepted", "Decoded bytes taken in", registry=registry)
        self._items_settled = prometheus.Counter(
            "ingest_items_settled",
            "Items settled; outcome is inserted, updated, unchanged or failed",
            ["table", "outcome"],
            registry=registry,
        )
        self._batches_settled = prometheus.Counter(
            "ingest_batches_settled", "Batches settled", ["table"], registry=registry
        )
        self._requests_refused = prometheus.Counter(
            "ingest_requests_refused", "Requests that were not carried out", ["status"], registry=registry
        )
        self._replayed = prometheus.Counter(
            "ingest_batches_replayed", "Batches that were sent again", registry=registry
        )
        self._retries = prometheus.Counter(
            "ingest_retries", "Tries after a lock, a deadlock or a limit", registry=registry
        )
        self._asides = prometheus.Counter(
            "ingest_set_aside", "Times that a batch was set aside", ["table"], registry=registry
        )
        self._outages = prometheus.Counter(
            "ingest_sink_errors", "Tries that met an outage of the sink", registry=registry
        )
        self._sink_up = Gauge("ingest_sink_up", "1 while the sink can be asked", registry=registry)
        self._sink_up.set(1)
        self._busy = Gauge("ingest_workers_busy", "Workers that have a batch", registry=registry)
        self._latency = Histogram(
            "ingest_accept_to_commit_seconds",
            "From accepting a batch to its commit",
            registry=registry,
            buckets=_SECONDS,
        )
        self._delivery = Histogram(
            "ingest_delivery_seconds", "A worker's time with one batch", registry=registry, buckets=_SECONDS
        )

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that is read when somebody asks."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def accepted(self, batch: Batch) -> None:
        """A batch is in the queue."""
        table = batch.table.shown(self._schema)
        self._accepted_at[batch.owner, batch.id] = self._clock()
        self._batches_accepted.labels(table).inc()
        self._items_accepted.labels(table).inc(batch.total)
        self._bytes_accepted.inc(len(batch.body))
        log.debug("→ %s %s: %d items, crawl %s", table, batch.id, batch.total, batch.crawl)

    def replayed(self, batch: object) -> None:
        """A batch was sent again, and absorbed."""
        self._replayed.inc()
        log.info("= %s was sent again", batch)

    def request_refused(self, status: int, detail: str) -> None:
        """A request was answered with a problem. Overload is logged now and then, and counted always."""
        self._requests_refused.labels(str(status)).inc()
        is_loud = status >= 500 and self._clock() - self._refusals_logged_at >= _REFUSALS_QUIET_SECONDS
        if is_loud:
            self._refusals_logged_at = self._clock()
        log.log(logging.WARNING if is_loud else logging.DEBUG, "⊘ %d: %s", status, detail)

    @contextlib.contextmanager
    def delivering(self, batch: Batch) -> Iterator[None]:  # noqa: ARG002  the batch is for subclasses and tests
        """A worker has the batch."""
        began = self._clock()
        self._busy.inc()
        try:
            yield
        finally:
            self._busy.dec()
            self._delivery.observe(self._clock() - began)

    def settled(self, batch: Batch, outcome: Settled) -> None:
        """A batch is in the ledger."""
        table = batch.table.shown(self._schema)
        self._batches_settled.labels(table).inc()
        counts = self._counts.setdefault(batch.table, Counter())
        for name in ("inserted", "updated", "unchanged", "failed"):
            self._items_settled.labels(table, name).inc(getattr(outcome, name))
            counts[name] += getattr(outcome, name)
        accepted_at = self._accepted_at.pop((batch.owner, batch.id), None)
        if accepted_at is not None:
            self._latency.observe(self._clock() - accepted_at)
        if self._wrong_tables.pop(batch.table, None) is not None:
            log.warning("table %s can be written again", table)
        if outcome.failed:
            first = outcome.errors[0].refusal if outcome.errors else None
            log.warning(
                "! %s %s: %d of %d items are dead letters, the first: %s %s %s",
                *(table, batch.id, outcome.failed, outcome.total),
                *((first.code, first.column or "", first.message) if first else ("", "", "")),
            )
        else:
            log.debug("← %s %s: %d items", table, batch.id, outcome.total)

    def outage(self, reason: str) -> None:
        """The sink could not be asked. Logged once per outage."""
        self._outages.inc()
        self._sink_up.set(0)
        if self._away_since is None:
            self._away_since = self._clock()
            log.error("PostgreSQL is away (%s): batches wait, and nothing is given up", reason)

    def reachable(self) -> None:
        """The sink answered."""
        if self._away_since is not None:
            log.warning("PostgreSQL is back after %.1f s", self._clock() - self._away_since)
            self._away_since = None
            self._sink_up.set(1)

    def retried(self, batch: Batch, reason: str) -> None:
        """The batch met a lock or a limit, and is tried again."""
        self._retries.inc()
        log.info("↻ %s %s: %s", batch.table.shown(self._schema), batch.id, reason)

    def set_aside(self, batch: Batch, reason: str, seconds: float, *, table_is_wrong: bool) -> None:
        """The batch waits aside. A table that nobody can write is logged once, and stays in /readyz until it can."""
        table = batch.table.shown(self._schema)
        self._asides.labels(table).inc()
        if not table_is_wrong:
            log.error("↻ %s %s waits %.1f s aside: %s", table, batch.id, seconds, reason)
            return
        known = self._wrong_tables.get(batch.table)
        if known is None or known.reason != reason:
            self._wrong_tables[batch.table] = Trouble(reason, known.since if known else time.time())
            log.error("table %s cannot be written: %s", table, reason)

    def unexpected(self, batch: Batch, error: BaseException) -> None:
        """An error that nobody has listed: the place where it happened, without its text, which may hold content."""
        log.error("unexpected %s with batch %s, at %s", type(error).__name__, batch.id, _place(error))

    def worker_died(self, name: str, error: BaseException) -> None:
        """A worker ended with an error, which is ours to mend. The others go on; /readyz says when none is left."""
        log.critical("%s died of an unexpected %s, at %s", name, type(error).__name__, _place(error))

    @property
    def sink_is_away(self) -> bool:
        """Whether the last word of the sink was an outage."""
        return self._away_since is not None

    @property
    def wrong_tables(self) -> Mapping[TableName, Trouble]:
        """Tables that cannot be written, with the reason."""
        return self._wrong_tables

    def settled_counts(self) -> dict[TableName, dict[str, int]]:
        """Items settled since the start, by table and outcome."""
        return {table: dict(counts) for table, counts in self._counts.items()}


def _place(error: BaseException) -> str:
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " → ".join(frames[-6:])
