"""What is said of single items: taken, rejected, altered, dropped."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from scrapy_batching.errors import ItemNotEncodable, ItemWithoutTable
from scrapy_batching.saying import logger_of
from scrapy_batching.signals import item_rejected
from scrapy_batching.telemetry.counts import Counts
from scrapy_batching.words import in_items

logger = logger_of(__name__)

_MOST_CAUSES = 1000


class ItemFacts(Counts):
    """Facts about single items."""

    _over = 0
    _tell_at = 1
    _not_encodable = 0
    _rejected: Counter[tuple[str, str]] | None = None

    def rejected(self, error: ItemNotEncodable | ItemWithoutTable, item: Any) -> None:
        """An item has no form as JSON, or no table; told the 1st, 10th, 100th, … time for each class and cause."""
        self._counts["items/rejected"] += 1
        self._not_encodable += 1
        self._announcer.announce(item_rejected, item=item, exception=error)
        if self._rejected is None:
            self._rejected = Counter()
        key = (error.item_type, error.culprit)
        if len(self._rejected) >= _MOST_CAUSES and key not in self._rejected:
            # A spider that makes a class for each page must not fill the memory.
            key = ("", "")
        self._rejected[key] += 1
        number = self._rejected[key]
        if str(number).strip("0") == "1":
            logger.error(
                "batching rejects an item: %s. %s of this class for this reason so far; the next line comes at %d, all are"
                " counted in batching/items/rejected",
                *(error, in_items(number), number * 10),
                extra=self._extra,
            )

    def filtered(self) -> None:
        """BATCHING_ITEM_FILTER said no: the item was never taken."""
        self._counts["items/filtered"] += 1

    def filter_failed(self, item_type: str, reason: str) -> None:
        """The filter raised on an item, which was taken; the first time for each class of items is worth a line."""
        if self._first("filter", item_type):
            logger.error(
                "batching: BATCHING_ITEM_FILTER raised %s on an item of class %s, which is taken as if the filter had said"
                " yes; so are further ones, without a word: mend its `accepts`",
                *(reason, item_type),
                extra=self._extra,
            )

    def altered(self, item_type: str, causes: Sequence[str]) -> None:
        """An item held what JSON cannot say; the first time for each class and cause is worth a line."""
        self._counts["items/altered"] += 1
        for cause in causes:
            if self._first("altered", item_type, cause):
                logger.warning(
                    "batching altered an item of class %s: %s; convert the value in the spider to have it otherwise. Further"
                    " ones are only counted, in batching/items/altered",
                    *(item_type, cause),
                    extra=self._extra,
                )

    def dropped(self) -> None:
        """An item was let go because as much waits as may wait; told the 1st, 10th, 100th, … time."""
        self._counts["items/dropped"] += 1
        self._over += 1
        if self._over == self._tell_at:
            self._tell_at *= 10
            logger.critical(
                "batching DROPS items, %d so far, because the spool is full (BATCHING_WHEN_FULL = 'drop'): see to the"
                " server, or raise BATCHING_HIGH_WATER_ITEMS and BATCHING_HIGH_WATER_BYTES; the next line comes at %d",
                self._over,
                self._tell_at,
                extra=self._extra,
            )
