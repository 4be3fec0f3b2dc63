"""What an audit found, and the arithmetic of it: what of a crawl's items is settled, where the rest was last seen. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from ingest_server.audit.spooled import Run, Spools, undelivered
from ingest_server.model import CrawlClose, CrawlTotals
from ingest_server.ports import LetterGroup

Place = Literal["server", "running crawl", "journal", "spool", "refused", "nowhere"]
ON_ITS_WAY: tuple[Place, ...] = ("server", "running crawl")
"""Where batches are that somebody delivers right now; in every other place they are missing."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A batch, or the part of one, that is not settled, and where it was last seen."""

    place: Place
    id: UUID
    table: str
    items: int
    where: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """The audit of one crawl. All counts are items, but for `batches` and `delivered_already`.

    `items` and what follows it are the crawl's own count, None where nobody knows it; `said_by` tells whose word it is.
    """

    crawl: str
    said_by: str | None
    items: int | None
    rejected: int | None
    dropped: int | None
    spooled: int | None
    reason: str | None
    batches: int
    settled: int
    succeeded: int
    failed: int
    seen: tuple[Seen, ...]
    nowhere: int | None
    surplus: int | None
    delivered_already: int
    letters: tuple[LetterGroup, ...]
    notes: tuple[str, ...]
    unasked: tuple[str, ...] = ()
    """Journals of a running server that could not be asked: what was not seen anywhere may lie there."""

    def items_in(self, *places: Place) -> int:
        """How many items were last seen there."""
        return sum(one.items for one in self.seen if one.place in places)

    @property
    def missing(self) -> int | None:
        """Items that are neither settled nor on their way; None where the crawl's count is not known and none was found."""
        found = self.items_in("journal", "spool", "refused") + (self.dropped or 0)
        if self.nowhere is None:
            return found or None
        return found + self.nowhere

    @property
    def is_open(self) -> bool:
        """Whether it cannot be said what is missing."""
        return self.missing is None or bool(self.unasked and self.nowhere)

    @property
    def exit_code(self) -> int:
        """0: nothing is missing; 1: something is, or the server has more than the crawl took; 2: it cannot be said."""
        if self.is_open:
            return 2
        return 1 if self.missing or self.surplus else 0

    def as_json(self, schema: str) -> dict[str, Any]:
        """For programs."""
        named = ("crawl", "said_by", "items", "rejected", "dropped", "spooled", "reason", "batches", "settled")
        more = ("succeeded", "failed", "nowhere", "surplus", "delivered_already", "missing", "exit_code")
        return {
            **{name: getattr(self, name) for name in (*named, *more)},
            "pending": self.items_in(*ON_ITS_WAY),
            "seen": [
                {"place": one.place, "batch": str(one.id), "table": one.table, "items": one.items}
                | {"where": one.where, "note": one.note}
                for one in self.seen
            ],
            "dead_letters": [
                {"table": one.table.shown(schema), "code": one.code, "column": one.column, "items": one.count}
                for one in self.letters
            ],
            "notes": list(self.notes),
            "unasked": list(self.unasked),
        }


def found(
    crawl: str,
    *,
    spools: Spools,
    waiting: Sequence[Seen],
    journalled: Sequence[Seen],
    totals: CrawlTotals | None,
    settled: Mapping[UUID, int],
    elsewhere: int,
    letters: tuple[LetterGroup, ...],
    notes: Sequence[str] = (),
    unasked: Sequence[str] = (),
) -> Findings:
    """Puts together what was read, each batch once: where it is on its way, else where it lies.

    `settled` are the items of every batch that the ledger has, by name; `elsewhere` those that it counts for another crawl.
    """
    seen: dict[UUID, Seen] = {}
    already: set[UUID] = set()
    refused = [Seen("refused", one.id, one.table, one.items, str(one.path), one.problem) for one in spools.refused]
    for one in (*waiting, *journalled, *refused):
        if one.id in settled:
            already.update({one.id} if one.place != "server" else ())
        else:
            seen.setdefault(one.id, one)
    known = frozenset(settled).union(seen)
    named: set[UUID] = set()
    for run in spools.runs:
        for part in _in_run(run, known):
            seen.setdefault(part.id, part)
        already |= {one.id for one in run.left if not _parts(one.id, one.items, one.is_split, known)} - set(seen)
        named |= {one.id for one in run.tallied}
    totals = totals or CrawlTotals()
    succeeded = totals.inserted + totals.updated + totals.unchanged
    account = _account(totals, spools)
    lost = sum(one.items for one in seen.values() if one.place == "nowhere")
    nowhere = surplus = None
    if account is not None:
        said, _ = account
        # What was counted as rejected and was stored after all, sent again by hand: it is in no one's `items − rejected`.
        mended = sum(one.items for one in spools.refused if one.id in settled)
        present = succeeded + totals.failed + elsewhere - mended
        present += sum(one.items for one in seen.values() if one.place not in ("refused", "nowhere"))
        rest = said.items - said.rejected - said.dropped - present
        nowhere, surplus = max(rest, lost, 0), max(-rest, 0)
        if totals.items is None and any(run.is_held for run in spools.runs):
            surplus = 0  # a crawl that runs goes on taking items after its tally was read
    elif lost:
        nowhere = lost
    return Findings(
        crawl=crawl,
        said_by=account[1] if account else None,
        items=account[0].items if account else None,
        rejected=account[0].rejected if account else None,
        dropped=account[0].dropped if account else None,
        spooled=account[0].spooled if account else None,
        reason=account[0].reason if account else None,
        batches=totals.batches,
        settled=succeeded + totals.failed + elsewhere,
        succeeded=succeeded,
        failed=totals.failed,
        seen=tuple(seen.values()),
        nowhere=nowhere,
        surplus=surplus,
        delivered_already=len(already),
        letters=letters,
        notes=tuple(notes),
        unasked=tuple(unasked),
    )


def _in_run(run: Run, known: frozenset[UUID]) -> list[Seen]:
    place: Place = "running crawl" if run.is_held else "spool"
    found = []
    for left in run.left:
        note = "waits to be sent in halves" if left.is_split else ""
        for name, items in _parts(left.id, left.items, left.is_split, known):
            found.append(Seen(place, name, left.table, items, str(left.path), note))
    files = {left.id for left in run.left}
    for one in run.tallied:
        if one.id in files:
            continue
        where = f"{run.path / 'tally.ndjson'}, which says that it was closed; its file is gone"
        # Its halves may have been delivered: only then it is not as a whole.
        for name, items in _parts(one.id, one.items, True, known):
            found.append(Seen("nowhere", name, one.table, items, where))
    return found


def _parts(batch: UUID, items: int, is_split: bool, known: frozenset[UUID]) -> list[tuple[UUID, int]]:
    """What of it is known under no name."""
    if is_split:
        # Halves' names are version 5: where none is known there is nothing to look for.
        if batch not in known and not any(name.version == 5 for name in known):
            return [(batch, items)]
        return list(undelivered(batch, items, known.__contains__))
    return [] if batch in known or items == 0 else [(batch, items)]


def _account(totals: CrawlTotals, spools: Spools) -> tuple[CrawlClose, str] | None:
    """The crawl's own count, and whose word it is."""
    if totals.items is not None:
        close = CrawlClose(totals.items, totals.rejected, totals.dropped, totals.spooled, totals.reason)
        return close, "the crawl's close, as the server keeps it"
    if not spools.runs:
        return None
    closes = [run.close or _killed(run) for run in spools.runs]
    items, rejected, dropped, spooled = (
        sum(getattr(one, name) for one in closes) for name in ("items", "rejected", "dropped", "spooled")
    )
    if all(run.close for run in spools.runs):
        return CrawlClose(items, rejected, dropped, spooled, closes[-1].reason), "the crawl's close, in its spool"
    rejected += sum(one.items for one in spools.refused)
    return CrawlClose(items, rejected, dropped, spooled, closes[-1].reason), "the tally in the crawl's spool"


def _killed(run: Run) -> CrawlClose:
    """A crawl that was killed, or still runs, has not said; its tally does."""
    left = 0 if run.is_held else sum(one.items for one in run.left)
    return CrawlClose(run.items, run.not_encodable, run.dropped, left, "it runs still" if run.is_held else None)
