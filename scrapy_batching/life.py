"""From a crawl's first item to its end: every way in which a crawl can end leaves each item somewhere."""

import asyncio
import atexit
import os
import time
from collections.abc import Mapping
from typing import Any

from scrapy_batching.closing import until_both_agree
from scrapy_batching.delivery.holding import Delivery
from scrapy_batching.intake import Intake
from scrapy_batching.leftovers.sender import Leftovers
from scrapy_batching.spool.crawl import Spool
from scrapy_batching.telemetry import Telemetry
from scrapy_batching.water import Water
from scrapy_batching.wire.client import Client


class Life:
    """One crawl's. `close_timeout`: for how many seconds a crawl that is done goes on delivering."""

    def __init__(
        self,
        *,
        crawl: str,
        url: str,
        close_timeout: float,
        intake: Intake,
        delivery: Delivery,
        client: Client,
        spool: Spool,
        leftovers: Leftovers,
        telemetry: Telemetry,
        water: Water,
    ) -> None:
        self.crawl = crawl
        self._url = url
        self._close_timeout = close_timeout
        self._intake = intake
        self._delivery = delivery
        self._client = client
        self._spool = spool
        self._leftovers = leftovers
        self._telemetry = telemetry
        self._water = water
        self._sending_leftovers: asyncio.Task[None] | None = None
        self._drain: asyncio.Task[None] | None = None
        self._farewell: asyncio.Task[None] | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._give_up_at = float("inf")
        self.is_begun = False
        self.is_crawl = False
        """Whether a spider is crawled: only then what earlier crawls left is sent, should there be no item."""
        self._pid = os.getpid()

    def begin(self) -> None:
        """With the first item, and with the first after a farewell."""
        self.is_begun = True
        self._farewell = None
        atexit.register(self._at_exit)
        if self._sending_leftovers is None:
            self._send_leftovers()
        self._telemetry.begun(self.crawl, self._url, self._spool.directory)

    async def drained(self) -> None:
        """Waits for the one task that delivers what is left; who waits may be cancelled, the task is not."""
        if not self.is_begun:
            await self._ended_without_items()
            return
        if self._drain is None or (self._drain.done() and self._water.moving):
            self._drain = asyncio.create_task(self._drain_all(), name="scrapy_batching drain")
        await asyncio.shield(self._drain)

    async def ended(self, reason: str) -> None:
        """Delivers what is left and closes the crawl on the server, once, whoever asks and how often."""
        await self.drained()
        if not self.is_begun and self._farewell is None:
            return
        if self._farewell is None:
            self._farewell = asyncio.create_task(self._leave(reason), name="scrapy_batching farewell")
        await asyncio.shield(self._farewell)

    async def _drain_all(self) -> None:
        self._give_up_at = time.monotonic() + self._close_timeout
        self._intake.flush("close")
        await self._delivery.finish(self._close_timeout)
        await self._finish_leftovers()
        self._intake.publish()

    async def _ended_without_items(self) -> None:
        """A crawl that has none may be the one that goes on where another was killed."""
        # It has its zeros when others look, as the spider closes.
        self._intake.publish()
        if self.is_crawl and self._sending_leftovers is None and self._leftovers.are_there():
            self._give_up_at = time.monotonic() + self._close_timeout
            self._send_leftovers()
            self._finishing = asyncio.create_task(self._finish_leftovers(), name="scrapy_batching last leftovers")
        if self._finishing is not None:
            await asyncio.shield(self._finishing)
            self._intake.publish()

    def _send_leftovers(self) -> None:
        self._sending_leftovers = asyncio.create_task(self._leftovers.send(), name="scrapy_batching leftovers")

    async def _finish_leftovers(self) -> None:
        """What earlier crawls left has the rest of the time; what is not delivered by then stays where it is."""
        if self._sending_leftovers is not None:
            left = self._give_up_at - time.monotonic()
            _, late = await asyncio.wait({self._sending_leftovers}, timeout=max(left, 0))
            if late:
                self._leftovers.cut_off()
            self._sending_leftovers.cancel()
            (error,) = await asyncio.gather(self._sending_leftovers, return_exceptions=True)
            if isinstance(error, Exception):
                self._telemetry.defect("sending what earlier crawls left", error)

    async def _leave(self, reason: str) -> None:
        """Closes the crawl on the server, lets go of everything that was opened, and only then says how it went."""
        server = await self._close(reason)
        self._intake.rest()
        await self._delivery.stop()
        await self._client.close()
        self.is_begun = False
        atexit.unregister(self._at_exit)
        self._spool.end({**self._telemetry.totals, "reason": reason}, is_told=bool(server))
        self._intake.publish()
        self._telemetry.summary(self.crawl, reason, server, self._spool.directory)
        await self._telemetry.heard()

    async def _close(self, reason: str) -> Mapping[str, int]:
        """What the server says to the crawl's totals; empty where it did not say."""
        totals = {**self._telemetry.totals, "reason": reason}

        async def close(wait: int, give_up_at: float) -> Mapping[str, Any] | None:
            return await self._client.close_crawl(totals, give_up_at, wait=wait)

        try:
            return await until_both_agree(close, left=self._give_up_at - time.monotonic())
        except Exception as error:
            self._telemetry.defect("closing the crawl on the server", error)
            return {}

    def _at_exit(self) -> None:
        """The last resort of a crawl that was ended by force: the loop is gone, the disk is not."""
        if os.getpid() != self._pid:
            return
        self._intake.hold()
        self._delivery.spool_rest("the crawl was ended by force")
        self._spool.end({**self._telemetry.totals, "reason": "forced"}, is_told=False)
        self._intake.publish()
        self._telemetry.summary(self.crawl, "forced", {}, self._spool.directory)
