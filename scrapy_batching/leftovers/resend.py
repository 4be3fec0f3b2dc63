"""What was refused for good, sent once more because somebody asks for it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from scrapy_batching.batching.batch import Batch
from scrapy_batching.errors import SpoolFailed
from scrapy_batching.leftovers.later import Later
from scrapy_batching.leftovers.run import batch_of
from scrapy_batching.leftovers.telemetry import LeftoverTelemetry
from scrapy_batching.spool.refusals import Refusal, keep_refused
from scrapy_batching.spool.stock import Put, refused_in
from scrapy_batching.wire.answers import Delivered, ForLater, Problem, Refused, TooLarge
from scrapy_batching.wire.client import Client, Observer
from scrapy_batching.wire.fates import judged
from scrapy_batching.wire.way import Way

_CLOSE_SECONDS = 10.0


async def send_refused(
    spool: Path,
    way: Way,
    telemetry: LeftoverTelemetry,
    *,
    later: Later,
    connect: Callable[[Way, Observer], Client],
    clock: Callable[[], float],
) -> None:
    """Sends the batches in `refused/` again, under the same names. Those that the server takes now leave it.

    Nobody holds `refused/`: where two send it at a time, the server absorbs the second. `later` as in `LeftRun`.
    """
    crawls: dict[str, list[Put]] = {}
    for one in await asyncio.to_thread(refused_in, spool):
        crawls.setdefault(one.crawl, []).append(one)
    for crawl, ones in crawls.items():
        client = connect(replace(way, crawl=crawl), telemetry)
        resend = _Resend(spool, client, telemetry, later)
        try:
            for one in ones:
                await resend.one(one)
            if resend.delivered:
                await _correct(client, resend.delivered, clock() + _CLOSE_SECONDS)
        except (OSError, SpoolFailed) as error:
            telemetry.failed(spool, error)
        finally:
            await client.close()


async def _correct(client: Client, items: int, give_up_at: float) -> None:
    """Tells the server that so many items of a crawl are rejected no more, where it knows the crawl's totals."""
    known = await client.crawl()
    if known is None or not isinstance(known.get("rejected"), int):
        return
    totals = {name: known.get(name) for name in ("items", "rejected", "dropped", "spooled", "reason")}
    totals["rejected"] = max(0, known["rejected"] - items)
    await client.close_crawl(totals, give_up_at, wait=0)


class _Resend:
    """The refused batches of one crawl. `delivered` counts the items that are refused no more."""

    def __init__(self, spool: Path, client: Client, telemetry: LeftoverTelemetry, later: Later) -> None:
        self._spool = spool
        self._client = client
        self._telemetry = telemetry
        self._later = later
        self.delivered = 0

    async def one(self, put: Put) -> None:
        """Sends one; what is refused again stays with the new problem. Raises OSError or SpoolFailed."""
        if known := self._later.of(put.table):
            self._telemetry.waits(put.table, 1, put.items, known)
            return
        batch = batch_of(put.id, put.table, put.path)
        try:
            outcome = judged(await self._client.deliver(batch, was_tried=True), len(batch))
        except Exception as error:
            self._telemetry.defect("sending a refused batch again", error)
            return
        match outcome:
            case Delivered():
                _remove(put)
                self.delivered += len(batch)
                self._telemetry.delivered(batch, outcome)
            case TooLarge(problem):
                await self._halves(put, batch, problem)
            case ForLater():
                self._later.add(put.table, outcome)
                self._telemetry.waits(put.table, 1, len(batch), outcome)
            case Refused(problem):
                self._telemetry.refused(batch, self._keep(put, batch, problem), str(problem))

    async def _halves(self, put: Put, batch: Batch, problem: Problem) -> None:
        """Puts the halves in the place of the whole, which may never be sent again, and sends them."""
        self._telemetry.split(batch)
        halves = batch.halves()
        for half in halves:
            self._keep(put, half, problem)
        _remove(put)
        for half in halves:
            path = put.path.with_name(f"{half.id}.ndjson")
            await self.one(replace(put, path=path, id=half.id, items=len(half), size=half.size))

    def _keep(self, put: Put, batch: Batch, problem: Problem) -> Path:
        refusal = Refusal(
            id=batch.id,
            table=put.table,
            crawl=put.crawl,
            items=len(batch),
            url=put.url,
            reason=str(problem),
            problem=problem,
        )
        return keep_refused(self._spool, refusal, batch.body())


def _remove(put: Put) -> None:
    # The items first: after a kill in between nobody takes what says why for a batch.
    put.path.unlink(missing_ok=True)
    put.about.unlink(missing_ok=True)
