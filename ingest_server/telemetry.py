"""One call per fact: it logs and counts. Nothing here names an item's content or a secret."""

import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import prometheus_client as prometheus
from prometheus_client import CollectorRegistry, Gauge, Histogram

from ingest_server.model import BatchHead, Settled, TableName

log = logging.getLogger("ingest_server")

_REFUSALS_QUIET_SECONDS = 10.0
_FSYNC_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_GROUPS = (1, 2, 4, 8, 16, 32, 64)
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
        self._journal_fsync = Histogram(
            "ingest_journal_fsync_seconds",
            "The journal's commits, fsync included",
            registry=registry,
            buckets=_FSYNC_SECONDS,
        )
        self._journal_group = Histogram(
            "ingest_journal_group_batches", "Batches that share an fsync", registry=registry, buckets=_GROUPS
        )
        self._journal_adopted = prometheus.Counter(
            "ingest_journal_adopted", "Batches that came back from a journal without an owner", registry=registry
        )
        self._journal_damaged = prometheus.Counter(
            "ingest_journal_damaged", "Journals that were set aside as damaged", registry=registry
        )
        self._journal_lost = prometheus.Counter(
            "ingest_journal_lost", "Journaled batches that cannot be read", registry=registry
        )
        self._journal_failing = Gauge(
            "ingest_journal_failing", "1 while the journal cannot be written", registry=registry
        )

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that is read when somebody asks."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def accepted(self, batch: BatchHead) -> None:
        """A batch is in the queue."""
        table = batch.table.shown(self._schema)
        self._accepted_at[batch.name] = self._clock()
        self._batches_accepted.labels(table).inc()
        self._items_accepted.labels(table).inc(batch.total)
        self._bytes_accepted.inc(batch.size)
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
    def delivering(self, batch: BatchHead) -> Iterator[None]:  # noqa: ARG002  the batch is for subclasses and tests
        """A worker has the batch."""
        began = self._clock()
        self._busy.inc()
        try:
            yield
        finally:
            self._busy.dec()
            self._delivery.observe(self._clock() - began)

    def settled(self, batch: BatchHead, outcome: Settled) -> None:
        """A batch is in the ledger."""
        table = batch.table.shown(self._schema)
        self._batches_settled.labels(table).inc()
        counts = self._counts.setdefault(batch.table, Counter())
        for name in ("inserted", "updated", "unchanged", "failed"):
            self._items_settled.labels(table, name).inc(getattr(outcome, name))
            counts[name] += getattr(outcome, name)
        accepted_at = self._accepted_at.pop(batch.name, None)
        if accepted_at is not None:
            self._latency.observe(self._clock() - accepted_at)
        if self._wrong_tables.pop(batch.table, None) is not None:
            log.info("table %s can be written again", table)
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
            log.info("PostgreSQL is back after %.1f s", self._clock() - self._away_since)
            self._away_since = None
            self._sink_up.set(1)

    def retried(self, batch: BatchHead, reason: str) -> None:
        """The batch met a lock or a limit, and is tried again."""
        self._retries.inc()
        log.info("↻ %s %s: %s", batch.table.shown(self._schema), batch.id, reason)

    def set_aside(self, batch: BatchHead, reason: str, seconds: float, *, table_is_wrong: bool) -> None:
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

    def unexpected(self, batch: BatchHead, error: BaseException) -> None:
        """An error that nobody has listed: the place where it happened, without its text, which may hold content."""
        log.error("unexpected %s with batch %s, at %s", type(error).__name__, batch.id, _place(error))

    def worker_died(self, name: str, error: BaseException) -> None:
        """A worker ended with an error, which is ours to mend. The others go on; /readyz says when none is left."""
        log.critical("%s died of an unexpected %s, at %s", name, type(error).__name__, _place(error))

    def journal_committed(self, batches: int, seconds: float) -> None:
        """So many batches are on the disk, with one fsync."""
        self._journal_fsync.observe(seconds)
        self._journal_group.observe(batches)

    def journal_failing(self, folder: Path, reason: str) -> None:
        """The journal cannot be written. Called once per trouble."""
        self._journal_failing.set(1)
        log.error("the journal in %s cannot be written (%s): nothing is taken in until it can", folder, reason)

    def journal_well(self) -> None:
        """It can be written again."""
        self._journal_failing.set(0)
        log.warning("the journal can be written again")

    def journal_adopted(self, path: Path, batches: int) -> None:
        """A journal without an owner is read."""
        self._journal_adopted.inc(batches)
        if batches:
            log.warning(
                "%s from the journal %s", "1 batch comes back" if batches == 1 else f"{batches} batches come back", path
            )

    def journal_damaged(self, kept: Path, rescued: int | None, unreadable: int, *, is_exact: bool) -> None:
        """A damaged journal was set aside; `rescued` is None where its batches were settled from it as they lay."""
        self._journal_damaged.inc()
        log.error("a damaged journal is kept as %s: %s", kept, _damage(rescued, unreadable, is_exact=is_exact))

    def journal_left_alone(self, path: Path, reason: str) -> None:
        """A journal is not touched."""
        log.error("the journal %s is left alone: %s", path, reason)

    def journal_lost(self, batch: BatchHead, path: Path, reason: str) -> None:
        """The disk lost a batch: the one thing that a journal cannot mend."""
        self._journal_lost.inc()
        log.error(
            "lost: batch %s, table %s, %d items, crawl %s cannot be read from the journal %s (%s): it must be sent again",
            *(batch.id, batch.table.shown(self._schema), batch.total, batch.crawl or "-", path, reason),
        )

    def journal_unreadable(self, batch: BatchHead, reason: str, seconds: float) -> None:
        """A batch could not be read back now."""
        log.error("↻ batch %s cannot be read from the journal now, next try in %.1f s: %s", batch.id, seconds, reason)

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


def _damage(rescued: int | None, unreadable: int, *, is_exact: bool) -> str:
    if rescued == 0 and not (unreadable or is_exact):
        return "nothing in it can be read"
    rows = "1 row" if unreadable == 1 else f"{unreadable} rows"
    if rescued is None:
        return (
            f"{rows} of it could not be read, the others are settled"
            if is_exact
            else "it could not be written any more"
        )
    said = f"{'1 batch was' if rescued == 1 else f'{rescued} batches were'} rescued from it, {rows} could not be read"
    return said if is_exact else f"{said}; pages of it are broken, and what else was on them is not known"


def _place(error: BaseException) -> str:
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " → ".join(frames[-6:])
