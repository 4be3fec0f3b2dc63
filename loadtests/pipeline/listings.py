"""One property listing of 15 fields, about 550 B of JSON, in the five kinds of item that Scrapy knows."""

import datetime as dt
from collections.abc import Callable
from dataclasses import make_dataclass
from typing import Any

import attrs
import pydantic
import scrapy

from loadtests.items import WIDE, Item, Shape, make_items

_LEFT_OUT = frozenset({"latitude", "longitude", "furnished"})
_DESCRIPTION_BYTES = 100
_POOL = 1_000


def _make(chance: Any, number: int) -> Item:
    wide = WIDE.make(chance, number)
    wide["description"] = wide["description"][:_DESCRIPTION_BYTES]
    return {name: value for name, value in wide.items() if name not in _LEFT_OUT}


LISTING = Shape("listing", tuple(column for column in WIDE.columns if column[0] not in _LEFT_OUT), _make)
"""A narrower `wide`: the same seed makes the same items."""


_TYPES: dict[str, Any] = {
    "text": str,
    "bigint": int,
    "integer": int,
    "double precision": float,
    "date": dt.date,
    "timestamptz": dt.datetime,
    "jsonb": dict[str, Any],
}
_FIELDS = {name: _TYPES[kind] for name, kind in LISTING.columns}
_REQUIRED: dict[str, Any] = {name: (kind, ...) for name, kind in _FIELDS.items()}

ListingItem = type("ListingItem", (scrapy.Item,), {name: scrapy.Field() for name in _FIELDS})
ListingDataclass = make_dataclass("ListingDataclass", _FIELDS.items())
ListingAttrs = attrs.make_class(
    "ListingAttrs", {name: attrs.field(type=kind) for name, kind in _FIELDS.items()}, slots=True
)
ListingPydantic = pydantic.create_model("ListingPydantic", **_REQUIRED)

KINDS: dict[str, Callable[..., Any]] = {
    "dict": dict,
    "item": ListingItem,
    "dataclass": ListingDataclass,
    "attrs": ListingAttrs,
    "pydantic": ListingPydantic,
}
"""Kind of item, and what makes one of its fields as keyword arguments."""


def table_of(kind: str) -> str:
    """The table where our pipeline puts the items of a kind; of dicts it is the spider's name."""
    return f"listing_{kind}"


def maker(kind: str, seed: int) -> Callable[[int], Any]:
    """Makes the item of a number: a new object each time as in any spider, from fields that were made before."""
    pool = make_items(LISTING, _POOL, seed)
    make = KINDS[kind]

    def made(number: int) -> Any:
        return make(**{**pool[number % _POOL], "id": f"{number:08d}"})

    return made
