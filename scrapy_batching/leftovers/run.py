"""One run's folder, claimed: what it holds is delivered, then its crawl is closed on the server and the folder removed.

The files and the tally are the truth at every moment; `close.json` is only a note made of them. So a SIGKILL anywhere
leaves a folder that the next sender reads and counts right, and what it sends once more the ledger absorbs.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from scrapy_batching.batching.batch import Batch
from scrapy_batching.closing import until_both_agree
from scrapy_batching.leftovers.later import Later
from scrapy_batching.leftovers.telemetry import LeftoverTelemetry
from scrapy_batching.spool.folder import RunFolder
from scrapy_batching.spool.layout import Left
from scrapy_batching.spool.stock import Counted, ends_whole, lines_in
from scrapy_batching.wire.answers import Delivered, ForLater, Outcome, Problem, Refused, TooLarge
from scrapy_batching.wire.client import Client
from scrapy_batching.wire.fates import judged
from scrapy_batching.wire.way import Way

KILLED = "killed"
"""The reason of a crawl that could not say one."""
_CLOSE_SECONDS = 10.0


class LeftRun:
    """A run's folder whose lock is held. `way` and `client` are those of its crawl.

    `later` is shared by all runs: what need not be tried again now, and why. `refused` are the names of
    this crawl's batches in `refused/` with their items.
    """

    def __init__(
        self,
        folder: RunFolder,
        way: Way,
        client: Client,
        telemetry: LeftoverTelemetry,
        *,
        later: Later,
        refused: dict[UUID, int],
    ) -> None:
        self._folder = folder
        self._way = way
        self._client = client
        self._telemetry = telemetry
        self._later = later
        self._refused = refused
        self._closed = folder.read_close()
        self._counted = Counted.of(())
        self._remaining: dict[UUID, int] = {}
        self._is_changed = self._closed is None

    async def send(self, left: tuple[Left, ...]) -> None:
        """Delivers the files, oldest first, and closes the crawl. Raises OSError or SpoolFailed where the disk fails.

        Retries for ever: whoever has a deadline cancels it, at any moment and without loss.
        """
        self._take_in(left)
        try:
            for one in left:
                if one.id in self._remaining:
                    await self._one(one)
        finally:
            if self._is_changed and (self._remaining or self._closed is not None):
                self._note()
        await self._close()

    def _take_in(self, left: tuple[Left, ...]) -> None:
        """Mends and counts what was still open when the crawl was killed, and writes it into the tally.

        From here on the tally knows every item of the crawl, however often the sending is killed and begun again.
        """
        tally = self._folder.path / "tally.ndjson"
        if self._closed is not None and not tally.exists():
            # With BATCHING_SPOOL off nothing was counted here, and only the close tells what had no form as JSON.
            rejected = self._closed.get("rejected", 0) - sum(self._refused.values())
            self._folder.add_tally({"rejected": max(0, rejected)})
        elif tally.exists() and not ends_whole(tally):
            # A power loss cut its last line off: what follows must not become a part of that.
            self._folder.add_tally({})
        self._counted = Counted.of(self._folder.tally())
        for one in left:
            if not self._whole(one):
                continue
            if one.id not in self._counted.batches:
                # A half that has a file of its own was counted with its whole.
                items = 0 if one.id.version == 5 else lines_in(one.path)
                self._folder.add_tally({"batch": str(one.id), "table": one.table, "items": items})
            self._remaining[one.id] = self._counted.items_in(one)
        self._counted = Counted.of(self._folder.tally())

    def _whole(self, left: Left) -> bool:
        """Whether there is anything to send; a torn last line is cut off first."""
        if not ends_whole(left.path):
            torn = self._folder.mend(left)
            if torn is not None:
                self._telemetry.torn(left.table, torn)
        if left.path.stat().st_size:
            return True
        items = self._counted.batches.get(left.id, 0)
        if items:
            self._telemetry.vanished(left.path, items)
        self._folder.done(left.path)
        self._is_changed = True
        return False

    async def _one(self, left: Left) -> None:
        if left.id in self._refused:
            # Killed after it was put into refused/, and before its file went.
            self._done(left)
            return
        if known := self._later.of(left.table):
            self._telemetry.waits(left.table, 1, self._remaining[left.id], known)
            return
        batch = batch_of(left.id, left.table, left.path)
        if left.is_split:
            await self._split(left, batch)
            return
        match await self._deliver(batch):
            case TooLarge():
                self._telemetry.split(batch)
                await self._split(replace(left, path=self._folder.mark_split(left.path)), batch)
            case ForLater():
                pass
            case _:
                self._done(left)

    async def _split(self, left: Left, batch: Batch) -> None:
        """Sends a batch as its halves; its file goes when the server has all of them, or has refused them."""
        if await self._halves(batch, left.id):
            self._done(left)

    async def _halves(self, batch: Batch, whole: UUID) -> bool:
        """Whether nothing of it needs the file of the batch `whole` any more."""
        gone = [await self._half(half, whole) for half in batch.halves()]
        return all(gone)

    async def _half(self, half: Batch, whole: UUID) -> bool:
        if half.id in self._counted.splits:
            return await self._halves(half, whole)
        if half.id not in self._refused:
            if known := self._later.of(half.table):
                self._telemetry.waits(half.table, 1, len(half), known)
                return False
            match await self._deliver(half):
                case TooLarge():
                    # On the disk before its halves are sent: it may never be sent whole again.
                    self._folder.add_tally({"split": str(half.id), "of": str(whole)}, lasting=True)
                    self._telemetry.split(half)
                    return await self._halves(half, whole)
                case ForLater():
                    return False
        self._remaining[whole] -= len(half)
        self._is_changed = True
        return True

    async def _deliver(self, batch: Batch) -> Outcome:
        """Sends one batch or half; where it is refused it lies in `refused/` when this returns."""
        try:
            outcome = judged(await self._client.deliver(batch, was_tried=True), len(batch))
        except Exception as error:
            self._telemetry.defect("sending a batch that an earlier crawl left", error)
            outcome = ForLater(Problem(0, type(error).__name__, "a defect of scrapy-batching"))
        match outcome:
            case Delivered():
                self._telemetry.delivered(batch, outcome)
            case Refused(problem):
                self._refuse(batch, problem)
            case ForLater():
                self._later.add(batch.table, outcome)
                self._telemetry.waits(batch.table, 1, len(batch), outcome)
        return outcome

    def _refuse(self, batch: Batch, problem: Problem) -> None:
        path = self._folder.refuse(
            batch.body(),
            id=batch.id,
            table=batch.table,
            crawl=self._way.crawl,
            items=len(batch),
            url=self._way.batches(batch.table),
            reason=str(problem),
            problem=problem,
        )
        self._refused[batch.id] = len(batch)
        self._telemetry.refused(batch, path, str(problem))

    def _done(self, left: Left) -> None:
        self._folder.done(left.path)
        self._remaining.pop(left.id, None)
        self._is_changed = True

    def _totals(self) -> dict[str, Any]:
        """What the crawl's close says by what lies on the disk now: never by subtraction, which a SIGKILL could break."""
        counted, closed = self._counted, self._closed or {}
        known = {
            "items": counted.gone + sum(counted.batches.values()) + counted.rejected + counted.dropped,
            "dropped": counted.dropped,
            "reason": KILLED,
        }
        return {
            **known,
            **{name: closed[name] for name in known if name in closed},
            "rejected": counted.rejected + sum(self._refused.values()),
            # What lies in both places was refused, and its file was not let go of yet.
            "spooled": sum(items for name, items in self._remaining.items() if name not in self._refused),
        }

    def _note(self) -> None:
        """Writes `close.json`. It is only a note: whoever comes next counts again, so that it may fail."""
        try:
            self._folder.write_close(self._totals())
        except OSError as error:
            self._telemetry.failed(self._folder.path, error)

    async def _close(self) -> None:
        """Tells the server the crawl's totals as they are now, and removes what is empty once it has them."""
        if self._remaining and (not self._is_changed or self._later.is_all):
            return
        totals = self._totals()
        # A crawl that was killed before its first item has nothing to tell.
        said = await self._said(totals) if totals["items"] else {"missing": 0}
        if not said:
            self._note()
            self._telemetry.not_closed(self._way.crawl)
            return
        self._telemetry.closed(self._way.crawl, said, totals["spooled"] + sum(self._refused.values()))
        if not self._remaining:
            self._folder.remove()

    async def _said(self, totals: Mapping[str, Any]) -> Mapping[str, int]:
        """What the server says to them; empty where it did not say."""

        async def close(wait: int, give_up_at: float) -> Mapping[str, Any] | None:
            return await self._client.close_crawl(totals, give_up_at, wait=wait)

        # What is pending is the server's already: during an outage of the database each run would wait for nothing.
        found = await close(0, time.monotonic() + _CLOSE_SECONDS)
        if found is not None and found.get("missing", 0) <= 0:
            return {"missing": found.get("missing", 0)}
        return await until_both_agree(close, left=_CLOSE_SECONDS) if found is not None else {}


def batch_of(name: UUID, table: str, path: Path) -> Batch:
    """A file's whole lines as a batch. Raises OSError."""
    body = path.read_bytes()
    lines = tuple(body.split(b"\n")[:-1])
    return Batch(name, table, lines, sum(map(len, lines)) + len(lines), time.monotonic(), "close")
