"""Whoever comes next delivers what earlier crawls left in the spool, oldest first and under the same names."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

from scrapy_batching.errors import SpoolFailed
from scrapy_batching.leftovers.later import Later
from scrapy_batching.leftovers.resend import send_refused
from scrapy_batching.leftovers.run import LeftRun
from scrapy_batching.leftovers.telemetry import LeftoverTelemetry
from scrapy_batching.spool.debris import remove_debris
from scrapy_batching.spool.folder import RunFolder
from scrapy_batching.spool.runs import find_runs
from scrapy_batching.spool.stock import refused_in, take_stock
from scrapy_batching.wire.client import Client, Observer
from scrapy_batching.wire.way import Link, Way


class Leftovers:
    """What lies below the spool directory `spool` and belongs to no living crawl.

    `way` says how to reach the server now; each batch goes under its own name, to its own table, for its own crawl.
    `connect` makes the client of one crawl; without it they share what they learn about the server.
    """

    def __init__(
        self,
        spool: Path,
        way: Way,
        telemetry: LeftoverTelemetry,
        *,
        connect: Callable[[Way, Observer], Client] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._way = way
        self._telemetry = telemetry
        self._connect = connect or partial(Client, link=Link(way, telemetry))
        self._clock = clock
        self._later = Later()
        self._refused: dict[str, dict[UUID, int]] = {}

    def are_there(self) -> bool:
        """Whether there is any run, without a look into it: what somebody holds counts too. Blocking and short."""
        try:
            return bool(find_runs(self._spool)[0])
        except OSError as error:
            self._telemetry.failed(self._spool, error)
            return False

    async def send(self, *, refused_too: bool = False) -> None:
        """Delivers everything that can be delivered now, one batch at a time; during an outage it waits and tries again.

        A file goes only when the server has its items for good, or when they lie in `refused/` with the problem. What the
        server answers 401, 403 or 404 for stays; where something else answers in its place, again and again, all does. A run's
        folder that somebody holds (its own crawl, another sender) is left to them. A run that is emptied has its crawl's
        totals told to the server again, and its folder removed.

        May be cancelled, and the process may be killed, at any moment: nothing is lost, and nothing is stored twice. Raises
        nothing of its own: what goes wrong is told to the telemetry. With `refused_too` the batches in `refused/` are sent
        first; those that the server takes now leave it.
        """
        try:
            await self._send(refused_too)
        except OSError as error:
            self._telemetry.failed(self._spool, error)

    def cut_off(self) -> None:
        """Says what waits on, where `send` is to be cancelled because a crawl has no more time."""
        self._telemetry.cut_off()

    async def _send(self, refused_too: bool) -> None:
        runs, foreign = await asyncio.to_thread(find_runs, self._spool)
        for path in foreign:
            self._telemetry.foreign(path)
        found = await asyncio.to_thread(take_stock, self._spool)
        wanted = [one for one in found if one.state == "waiting" or (refused_too and one.state == "refused")]
        if wanted:
            self._telemetry.found(sum(one.batches for one in wanted), sum(one.items for one in wanted))
        await asyncio.to_thread(remove_debris, self._spool)
        if refused_too:
            await send_refused(
                self._spool, self._way, self._telemetry, later=self._later, connect=self._connect, clock=self._clock
            )
        for one in await asyncio.to_thread(refused_in, self._spool):
            self._refused.setdefault(one.crawl, {})[one.id] = one.items
        held = [run for run in runs if not await self._run(run)]
        # Once more: who held one may have been killed since, or has only looked.
        for run in held:
            await self._run(run)
        if wanted:
            self._telemetry.ended()

    async def _run(self, run: RunFolder) -> bool:
        """Whether the run is seen to; False where somebody holds it."""
        if not run.claim():
            return not run.path.exists()
        try:
            await self._claimed(run)
        except (OSError, SpoolFailed) as error:
            self._telemetry.failed(run.path, error)
        finally:
            run.release()
        return True

    async def _claimed(self, run: RunFolder) -> None:
        about = run.about
        assert about is not None, "a folder without it cannot be claimed"
        for path in await asyncio.to_thread(run.foreign):
            self._telemetry.foreign(path)
        left = await asyncio.to_thread(run.left)
        way = replace(self._way, crawl=about.crawl)
        client = self._connect(way, self._telemetry)
        refused = self._refused.setdefault(about.crawl, {})
        try:
            await LeftRun(run, way, client, self._telemetry, later=self._later, refused=refused).send(left)
        finally:
            await client.close()
