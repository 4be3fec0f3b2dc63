"""What is done for each item: it is encoded once, and written into the open batch of its table. No waiting anywhere."""

from collections.abc import Callable
from functools import partial
from typing import Any

from scrapy_batching.batching.age import AgeTimer
from scrapy_batching.batching.batch import Batch
from scrapy_batching.batching.growing import Cause
from scrapy_batching.batching.lines import OpenBatches
from scrapy_batching.delivery.holding import Delivery
from scrapy_batching.errors import ItemNotEncodable, ItemWithoutTable
from scrapy_batching.full import Full
from scrapy_batching.items.choosing import Choosing
from scrapy_batching.items.encode import Encoder
from scrapy_batching.items.routing import Routing
from scrapy_batching.quick import quick_road
from scrapy_batching.spool.crawl import Spool
from scrapy_batching.telemetry import Telemetry
from scrapy_batching.water import Water


class Intake:
    """One crawl's. With `drops` an item that comes at high water is let go, counted.

    `is_wanted` says whether an item is to be taken at all; None: every item is.
    """

    def __init__(
        self,
        *,
        routing: Routing,
        is_wanted: Choosing | None,
        batches: OpenBatches,
        drops: bool,
        delivery: Delivery,
        spool: Spool,
        telemetry: Telemetry,
        water: Water,
        full: Full,
    ) -> None:
        self.is_wanted = is_wanted
        self._routing = routing
        self._fixed = routing.fixed
        self._batches = batches
        self._drops = drops
        self._delivery = delivery
        self._spool = spool
        self._telemetry = telemetry
        self._water = water
        self._full = full
        # Bound once, not for every item.
        encoder = Encoder()
        self._encode = encoder.__call__
        self._add = batches.add
        self._rise = water.rise
        self._timer = AgeTimer(
            due_in=batches.due_in,
            close_due=lambda: self._put(batches.close_due()),
            defect=partial(telemetry.defect, "closing a batch by its age"),
        )

        self.take_quickly: Callable[[Any], None] = self.take
        """As `take`, without most of its steps where an item is plain."""
        # What is dropped at high water has to be asked about first.
        if not drops:
            self.take_quickly = quick_road(
                encoder=encoder,
                fixed=routing.fixed,
                batches=batches,
                water=water,
                counter=telemetry,
                usual=self.take,
                keep=self._keep,
                rose=full.rose,
            )

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
            line, causes = self._encode(item)
            table = self._fixed.get(type(item)) or self._routing.table_of(item)
        except (ItemNotEncodable, ItemWithoutTable) as error:
            self._telemetry.rejected(error, item)
            self._spool.count({"rejected": 1})
            return
        if causes:
            self._telemetry.altered(type(item).__qualname__, causes)
        self._keep(table, line)

    def _keep(self, table: str, line: bytes) -> None:
        # Each line has its LF in the body.
        size = len(line) + 1
        closed = self._add(table, line, size)
        if self._rise(size):
            self._full.rose()
        if closed:
            self._put(closed)
        if self._timer.handle is None:
            self._timer.set()

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
        self._timer.rest()

    def publish(self) -> None:
        """Brings the stats up to date."""
        self._telemetry.publish()

    def _put(self, closed: tuple[Batch, ...]) -> None:
        for batch in closed:
            self._count(batch)
            self._delivery.put(batch)
        if closed:
            self._telemetry.changed()

    def _count(self, batch: Batch) -> None:
        self._telemetry.closed(batch)
        self._spool.count({"batch": str(batch.id), "table": batch.table, "items": len(batch)})
