"""Which items are stored at all: what BATCHING_ITEM_FILTER says of each."""

from typing import Any, Protocol

from scrapy_batching.items.blame import place_of


class ItemFilter(Protocol):
    """What FEEDS calls an item filter."""

    def accepts(self, item: Any, /) -> bool:
        """Whether the item is stored."""


class Observer(Protocol):
    """Who is told what a filter does."""

    def filtered(self) -> None:
        """An item passes by."""

    def filter_failed(self, item_type: str, reason: str) -> None:
        """The filter raised on an item, which is taken."""


class Choosing:
    """One crawl's. An item that the filter raises on is taken: a mistake in a filter never costs an item."""

    def __init__(self, item_filter: ItemFilter, observer: Observer) -> None:
        self._accepts = item_filter.accepts
        self._observer = observer

    def __call__(self, item: Any) -> bool:
        """Whether the item is stored. Never raises."""
        try:
            is_wanted = bool(self._accepts(item))
        except Exception as error:
            # Never the error's text: it may quote the item.
            self._observer.filter_failed(type(item).__qualname__, f"{type(error).__name__} {place_of(error)}")
            return True
        if not is_wanted:
            self._observer.filtered()
        return is_wanted
