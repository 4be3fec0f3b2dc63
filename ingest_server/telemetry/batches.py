"""A batch's way from accepted to settled."""

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator

from ingest_server.model import BatchHead, Mode, Settled, TableName
from ingest_server.telemetry.ground import OTHER, Facts, Ground, about, log
from ingest_server.telemetry.waits import Waits
from ingest_server.telemetry.window import Window

_OUTCOMES = ("inserted", "updated", "unchanged", "failed")
_ERRORS_WINDOW_SECONDS = 300


class BatchFacts(Facts):
    """Batches."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._counts: dict[tuple[str, TableName], Counter[str]] = {}
        self._waits = Waits()
        self._settled_lately = Window(ground.clock, _ERRORS_WINDOW_SECONDS)
        counter, histogram = ground.counter, ground.histogram
        self._batches_accepted = counter("ingest_batches_accepted", "Batches taken in", "table")
        self._items_accepted = counter("ingest_items_accepted", "Items taken in", "table")
        self._bytes_accepted = counter("ingest_bytes_accepted", "Decoded bytes taken in")
        self._items_settled = counter(
            "ingest_items_settled",
            "Items settled; outcome is inserted, updated, unchanged or failed",
            *("table", "outcome"),
        )
        self._altered = counter(
            "ingest_values_altered",
            "What a table's options left out of items (unknown_field) or replaced in them (nul, surrogate, nan)",
            *("table", "what"),
        )
        self._batches_settled = counter("ingest_batches_settled", "Batches settled", "table")
        self._dead_letters = counter("ingest_dead_letters", "Items that became dead letters", "table", "code")
        self._replayed = counter("ingest_batches_replayed", "Batches that were sent again")
        self._retries = counter("ingest_retries", "Tries after a lock, a deadlock or a limit")
        self._asides = counter("ingest_set_aside", "Times that a batch was set aside", "table")
        self._busy = ground.gauge("ingest_workers_busy", "Workers that have a batch")
        self._latency = histogram("ingest_accept_to_commit_seconds", "From accepting a batch to its commit")
        self._delivery = histogram("ingest_delivery_seconds", "A worker's time with one batch")
        self._write = histogram("ingest_write_seconds", "The transaction that settled a batch, all tries", "mode")
        self._isolations = counter("ingest_isolations", "Batches that were searched for refused items", "table")
        ground.gauge("ingest_oldest_unsettled_seconds", "Age of the oldest batch that waits").set_function(
            lambda: self.oldest_seconds
        )

    def accepted(self, batch: BatchHead) -> None:
        """A batch is in the queue."""
        ground, table = self._ground, self._ground.table_label(batch.table)
        self._waits.begin(batch.name, ground.clock())
        self._batches_accepted.labels(table).inc()
        self._items_accepted.labels(table).inc(batch.total)
        self._bytes_accepted.inc(batch.size)
        if log.isEnabledFor(logging.DEBUG):
            text = "→ %s %s: %d items, crawl %s"
            log.debug(text, ground.shown(batch.table), batch.id, batch.total, batch.crawl, extra=about(ground, batch))

    def restored(self, batch: BatchHead) -> None:
        """A batch came back from a journal: it waits since it was accepted, by whichever server that was."""
        age = self._ground.wall() - batch.created_at.timestamp()
        self._waits.resume(batch.name, self._ground.clock() - max(0.0, age))

    def lost(self, batch: BatchHead) -> None:
        """Nobody will settle the batch; `journal_lost` says why."""
        self._waits.end(batch.name)

    def replayed(self, batch: object) -> None:
        """A batch was sent again, and absorbed."""
        self._replayed.inc()
        log.info("= %s was sent again", batch, extra={"batch": str(batch)})

    @contextlib.contextmanager
    def delivering(self, batch: BatchHead) -> Iterator[None]:  # noqa: ARG002  the batch is for subclasses and tests
        """A worker has the batch."""
        began = self._ground.clock()
        self._busy.inc()
        try:
            yield
        finally:
            self._busy.dec()
            self._delivery.observe(self._ground.clock() - began)

    def written(self, mode: Mode, seconds: float) -> None:
        """A table of this mode was written, in one transaction, which took so long with all its tries."""
        self._write.labels(str(mode)).observe(seconds)

    def isolating(self, table: TableName) -> None:
        """A batch holds items that the database refuses, and is searched for them."""
        self._isolations.labels(self._ground.table_label(table)).inc()

    def settled(self, batch: BatchHead, outcome: Settled) -> None:
        """A batch is in the ledger."""
        ground, table = self._ground, self._ground.table_label(batch.table)
        self._batches_settled.labels(table).inc()
        counts = self._counts.setdefault((batch.owner, batch.table), Counter())
        for name in _OUTCOMES:
            self._items_settled.labels(table, name).inc(getattr(outcome, name))
            counts[name] += getattr(outcome, name)
        for what, count in outcome.altered.items():
            self._altered.labels(table, what).inc(count)
        is_retry = batch.form == "retry"  # what is refused again is no new dead letter
        if not is_retry:
            self._settled_lately.add(outcome.total, outcome.failed)
        accepted_at = self._waits.end(batch.name)
        if accepted_at is not None:
            self._latency.observe(ground.clock() - accepted_at)
        shown = ground.shown(batch.table)
        if outcome.failed:
            if not is_retry:
                self._count_dead_letters(table, outcome)
            first = outcome.errors[0].refusal if outcome.errors else None
            log.warning(
                "! %s %s: %d of %d items are dead letters, the first: %s %s %s",
                *(shown, batch.id, outcome.failed, outcome.total),
                *((first.code, first.column or "", first.message) if first else ("", "", "")),
                extra=about(ground, batch),
            )
        if outcome.altered:
            said = ", ".join(f"{count} {what}" for what, count in sorted(outcome.altered.items()))
            log.info("~ %s %s: its items were altered: %s", shown, batch.id, said, extra=about(ground, batch))
        if not outcome.failed and log.isEnabledFor(logging.DEBUG):
            log.debug("← %s %s: %d items", shown, batch.id, outcome.total, extra=about(ground, batch))

    def retried(self, batch: BatchHead, reason: str) -> None:
        """The batch met a lock or a limit, and is tried again."""
        self._retries.inc()
        ground = self._ground
        log.info("↻ %s %s: %s", ground.shown(batch.table), batch.id, reason, extra=about(ground, batch))

    def set_aside(self, batch: BatchHead, reason: str, seconds: float) -> None:
        """The batch waits aside."""
        ground, table = self._ground, self._ground.shown(batch.table)
        self._asides.labels(ground.table_label(batch.table)).inc()
        text = "↻ %s %s waits %.1f s aside: %s"
        log.error(text, table, batch.id, seconds, reason, extra=about(ground, batch))

    def _count_dead_letters(self, table: str, outcome: Settled) -> None:
        codes = Counter(self._ground.code_label(one.refusal.code) for one in outcome.errors)
        codes[OTHER] += outcome.failed - codes.total()  # of a batch that was settled before the ledger keeps some
        for code, count in codes.items():
            if count > 0:
                self._dead_letters.labels(table, code).inc(count)

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest batch that is not settled has been waiting, set aside or not; 0 where none waits."""
        oldest = self._waits.oldest
        return max(0.0, self._ground.clock() - oldest) if oldest is not None else 0.0

    @property
    def failed_share(self) -> float:
        """Which share of the items of the last five minutes became dead letters."""
        return self._settled_lately.share

    def settled_counts(self, owner: str) -> dict[TableName, dict[str, int]]:
        """Items settled since the start, by table and outcome."""
        return {table: dict(counts) for (whose, table), counts in self._counts.items() if whose == owner}
