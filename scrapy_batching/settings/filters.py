"""BATCHING_ITEM_FILTER: a class as FEEDS' `item_filter` takes it."""

from typing import Any

from scrapy_batching.items.blame import place_of
from scrapy_batching.items.choosing import ItemFilter
from scrapy_batching.settings.imports import imported, takes_an_item
from scrapy_batching.settings.values import Unusable

_EXAMPLE = "myproject.filters.OnlyBooks"


def filter_in(written: Any) -> ItemFilter | None:
    """The filter that a class or its import path makes, or None where none is named. Raises Unusable."""
    if isinstance(written, str) and not written:
        return None
    found = imported(written, example=_EXAMPLE) if isinstance(written, str) else written
    if not isinstance(found, type):
        raise Unusable(f"write a class or its import path, as in {_EXAMPLE!r}")
    if not callable(getattr(found, "accepts", None)):
        raise Unusable("the class has no method `accepts(item)`: write one that gives True for items to be stored")
    try:
        # FEEDS gives the feed's options; there are none here.
        made: ItemFilter = found({})
    except Exception as error:
        raise Unusable(
            f"making it raised {type(error).__name__} {place_of(error)}: it is called with `feed_options`, an empty dict"
        ) from None
    wrong = takes_an_item(made.accepts)
    if wrong:
        raise Unusable(f"of `accepts`: {wrong}")
    return made
