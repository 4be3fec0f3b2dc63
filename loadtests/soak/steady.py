"""The spider of a soak: items at a steady rate, made without a site. Started with `scrapy runspider`."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import scrapy
from scrapy import signals

from loadtests.items import NARROW, Item, make_items
from loadtests.soak.numbers import is_bad, is_refused

_LEAST_PAUSE = 0.02
_LATE = 1.0


class Steady(scrapy.Spider):
    """`-a name=` is the table as well.

    Without `most` it goes on until SIGUSR1, and its keys come round and round with new prices. With `most` it sends
    so many items under keys that begin with `run`, and writes one byte to the file `taken` for each that the pipeline took.
    """

    name = "steady"

    def __init__(self, *, rate: str, keys: str = "0", bad_every: str = "0", seed: str = "1", **more: str) -> None:
        super().__init__(more["name"])
        self._rate = float(rate)
        self._keys = int(keys)
        self._bad_every = int(bad_every)
        self._seed = int(seed)
        self._is_told_to_end = False
        self._run = more.get("run", "")
        self._most = int(more.get("most", "0"))
        self._taken = os.open(more["taken"], os.O_WRONLY | os.O_CREAT | os.O_APPEND) if "taken" in more else None

    async def start(self) -> AsyncIterator[Any]:
        if self._taken is not None:
            self.crawler.signals.connect(self._take, signals.item_scraped)
        # Not SIGTERM: in Scrapy 2.19 that may hang where start() yields items (docs/durability.md), and is Scrapy's to mend.
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._end)
        now = asyncio.get_running_loop().time
        made = make_items(NARROW, self._keys or 1, self._seed)
        due = now()
        for number in range(self._most) if self._most else itertools.count():
            if self._is_told_to_end:
                return
            yield self._item(made, number)
            due += 1 / self._rate
            ahead = due - now()
            if ahead > _LEAST_PAUSE:
                await asyncio.sleep(ahead)
            elif ahead < -_LATE:  # it was held: what was missed is not made up for
                due = now()

    def _item(self, made: list[Item], number: int) -> Item:
        if self._most:
            return {**made[0], "sku": f"{self._run}-{number}", "stock": number}
        item = {**made[number % self._keys], "price": number / 100, "stock": number % 5000}
        if is_bad(number, self._bad_every):
            wrong = {"stock": -1} if is_refused(number, self._bad_every) else {"price": "cheap"}
            return item | {"sku": f"bad-{number}"} | wrong
        return item

    def _end(self) -> None:
        self._is_told_to_end = True

    def _take(self) -> None:
        assert self._taken is not None
        os.write(self._taken, b".")
