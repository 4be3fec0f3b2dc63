"""The journal: what its disk does, and what comes back from it."""

from pathlib import Path

from ingest_server.model import BatchHead
from ingest_server.telemetry.ground import Facts, Ground, about, log

_FSYNC_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_GROUPS = (1, 2, 4, 8, 16, 32, 64)


class JournalFacts(Facts):
    """The journal."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        counter = ground.counter
        self._fsync = ground.histogram(
            "ingest_journal_fsync_seconds", "The journal's commits, fsync included", buckets=_FSYNC_SECONDS
        )
        self._group = ground.histogram("ingest_journal_group_batches", "Batches that share an fsync", buckets=_GROUPS)
        self._adopted = counter("ingest_journal_adopted", "Batches that came back from a journal without an owner")
        self._damaged = counter("ingest_journal_damaged", "Journals that were set aside as damaged")
        self._lost = counter("ingest_journal_lost", "Journaled batches that cannot be read")
        self._failing = ground.gauge("ingest_journal_failing", "1 while the journal cannot be written")

    def journal_committed(self, batches: int, seconds: float) -> None:
        """So many batches are on the disk, with one fsync."""
        self._fsync.observe(seconds)
        self._group.observe(batches)

    def journal_failing(self, folder: Path, reason: str) -> None:
        """The journal cannot be written. Called once per trouble."""
        self._failing.set(1)
        log.error("the journal in %s cannot be written (%s): nothing is taken in until it can", folder, reason)

    def journal_well(self) -> None:
        """It can be written again."""
        self._failing.set(0)
        log.warning("the journal can be written again")

    def journal_adopted(self, path: Path, batches: int) -> None:
        """A journal without an owner is read."""
        self._adopted.inc(batches)
        if batches:
            log.warning(
                "%s from the journal %s", "1 batch comes back" if batches == 1 else f"{batches} batches come back", path
            )

    def journal_damaged(self, kept: Path, rescued: int | None, unreadable: int, *, is_exact: bool) -> None:
        """A damaged journal was set aside; `rescued` is None where its batches were settled from it as they lay."""
        self._damaged.inc()
        log.error("a damaged journal is kept as %s: %s", kept, _damage(rescued, unreadable, is_exact=is_exact))

    def journal_left_alone(self, path: Path, reason: str) -> None:
        """A journal is not touched."""
        log.error("the journal %s is left alone: %s", path, reason)

    def journal_lost(self, batch: BatchHead, path: Path, reason: str) -> None:
        """The disk lost a batch: the one thing that a journal cannot mend."""
        self._lost.inc()
        ground = self._ground
        log.error(
            "lost: batch %s, table %s, %d items, crawl %s cannot be read from the journal %s (%s): it must be sent again",
            *(batch.id, ground.shown(batch.table), batch.total, batch.crawl or "-", path, reason),
            extra=about(ground, batch),
        )

    def journal_unreadable(self, batch: BatchHead, reason: str, seconds: float) -> None:
        """A batch could not be read back now."""
        text = "↻ batch %s cannot be read from the journal now, next try in %.1f s: %s"
        log.error(text, batch.id, seconds, reason, extra=about(self._ground, batch))


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
