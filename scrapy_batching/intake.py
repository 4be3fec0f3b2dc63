"""What is done for each item: it is encoded once, and written into the open batch of its table. No waiting anywhere."""

import asyncio
from typing import Any

from scrapy_batching.batcher import Batch, Cause, OpenBatches
from scrapy_batching.delivery import Delivery
from scrapy_batching.errors import ItemNotEncodable
from scrapy_batching.full import Full
from scrapy_batching.items.encode import Encoder
from scrapy_batching.names import quote_part, snake_case
from scrapy_batching.spool.crawl import Spool
from scrapy_batching.telemetry import Telemetry
from scrapy_batching.water import Water


class Intake:
    """One crawl's. `batch_age` is in seconds; with `drops` an item that comes at high water is let go, counted."""

    def __init__(
        self,
        *,
        spider: str,
        batches: OpenBatches,
        batch_age: float,
        drops: bool,
        delivery: Delivery,
        spool: Spool,
        telemetry: Telemetry,
        water: Water,
        full: Full,
    ) -> None:
        self._spider = spider
        self._batches = batches
        self._batch_age = batch_age
        self._drops = drops
        self._delivery = delivery
        self._spool = spool
        self._telemetry = telemetry
        self._water = water
        self._full = full
        self._encode = Encoder()
        self._tables: dict[type, str] = {}
        self._timer: asyncio.TimerHandle | None = None

    def take(self, item: Any) -> None:
        """Takes the item as it is now. Never raises and never waits.

        When it returns the item is on disk, or counted as rejected or dropped.
        """
        self._telemetry.enqueued += 1
        if self._drops and self._water.is_full:
            self._telemetry.dropped()
            self._spool.count({"dropped": 1})
            return
        try:
            line, is_altered = self._encode(item)
        except ItemNotEncodable as error:
            self._telemetry.rejected(error)
            self._spool.count({"rejected": 1})
            return
        if is_altered:
            self._telemetry.altered(type(item).__qualname__)
        try:
            table = self._tables[type(item)]
        except KeyError:
            table = self._tables[type(item)] = self._table_of(item)
        closed = self._batches.add(table, line)
        # Each line has its LF in the body.
        if self._water.rise(len(line) + 1):
            self._full.rose()
        if closed:
            self._put(closed)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._batch_age, self._tick)

    def flush(self, cause: Cause) -> None:
        """Sends what is there, full or not."""
        self._put(self._batches.close_all(cause))

    def hold(self) -> None:
        """Hands over what is there without sending it: for a crawl whose loop is gone."""
        for batch in self._batches.close_all("close"):
            self._count(batch)
            self._delivery.hold(batch)

    def rest(self) -> None:
        """Nothing comes of age any more, until the next item."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def publish(self) -> None:
        """Brings the stats up to date."""
        self._telemetry.publish(self._water.waited_seconds)

    def _table_of(self, item: Any) -> str:
        return quote_part(self._spider if isinstance(item, dict) else snake_case(type(item).__name__))

    def _put(self, closed: tuple[Batch, ...]) -> None:
        for batch in closed:
            self._count(batch)
            self._delivery.put(batch)
        if closed:
            self.publish()

    def _count(self, batch: Batch) -> None:
        self._telemetry.closed(batch)
        self._spool.count({"batch": str(batch.id), "table": batch.table, "items": len(batch)})

    def _tick(self) -> None:
        """Closes what came of age. Set again even when that fails, or a slow crawl's items would wait for its end."""
        self._timer = None
        try:
            self._put(self._batches.close_due())
        except Exception as error:
            self._telemetry.defect("closing a batch by its age", error)
        finally:
            due = self._batches.due_in()
            if due is not None:
                # Never at once: a clock that stands still would turn the loop into a spinning one.
                self._timer = asyncio.get_running_loop().call_later(max(due, 0.01), self._tick)
