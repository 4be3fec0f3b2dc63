"""Seeded items in two shapes: the same seed makes the same items, byte for byte, on every machine.

`wide` is a property listing of 18 columns and about 1 KB of JSON, `narrow` a price of 5 columns and about 150 B.
"""

import datetime as dt
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

Item = dict[str, Any]
Row = tuple[Any, ...]

_START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_STREETS = (
    "Church Road",
    "Station Lane",
    "Mill Street",
    "Harbour View",
    "Albert Terrace",
    "Königsallee",
    "Rue de l'Église",
)
_CITIES = ("Bath", "Bristol", "Cardiff", "Düsseldorf", "Exeter", "Leeds", "Lyon", "Norwich", "Wakefield", "York")
_WORDS = re.findall(
    r"\S+",
    "a bright and quiet home close to the station with large windows, oak floors, a new kitchen, two balconies, garden "
    "access, bicycle storage, underfloor heating, good schools nearby, generous ceilings, fitted wardrobes and a view "
    "over the park; available from spring, viewings by appointment, no chain, energy certificate on request",
)
_FEATURES = (
    "balcony",
    "cellar",
    "fireplace",
    "garage",
    "garden",
    "lift",
    "parking",
    "sauna",
    "solar panels",
    "terrace",
)


@dataclass(frozen=True, slots=True)
class Shape:
    """Name and columns of a table, and how one of its items is made; the first column is the key."""

    name: str
    columns: tuple[tuple[str, str], ...]
    make: Callable[[random.Random, int], Item]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)

    @property
    def key(self) -> str:
        return self.columns[0][0]


def _wide(chance: random.Random, number: int) -> Item:
    city = chance.choice(_CITIES)
    bedrooms = chance.randint(1, 6)
    key = f"{chance.getrandbits(64):016x}-{number:08d}"
    return {
        "id": key,
        "url": f"https://listings.example/{city.lower()}/{key}.html",
        "title": f"{bedrooms}-bedroom home in {city}",
        "description": " ".join(chance.choices(_WORDS, k=71)),
        "price": chance.randrange(90_000, 2_000_000, 500),
        "currency": chance.choice(("EUR", "GBP")),
        "bedrooms": bedrooms,
        "bathrooms": chance.randint(1, 3),
        "area": round(chance.uniform(28, 320), 1),
        "address": f"{chance.randint(1, 220)} {chance.choice(_STREETS)}",
        "city": city,
        "postcode": f"{chance.randint(10_000, 99_999)}",
        "latitude": round(chance.uniform(43, 59), 6),
        "longitude": round(chance.uniform(-6, 8), 6),
        "furnished": chance.random() < 0.3,
        "listed_on": (_START + dt.timedelta(days=chance.randint(0, 300))).date(),
        "scraped_at": _START + dt.timedelta(seconds=number),
        "features": {
            "tags": chance.sample(_FEATURES, k=4),
            "floor": chance.randint(0, 12),
            "energy": {"class": chance.choice("ABCDEFG"), "kwh": chance.randint(20, 300)},
        },
    }


def _narrow(chance: random.Random, number: int) -> Item:
    return {
        "sku": f"{chance.getrandbits(64):016x}-{number:08d}",
        "name": " ".join((*chance.choices(_FEATURES, k=3), f"{chance.randint(10_000, 99_999)}")),
        "price": round(chance.uniform(1, 900), 2),
        "stock": chance.randint(0, 5_000),
        "seen_at": _START + dt.timedelta(seconds=number),
    }


WIDE = Shape(
    "wide",
    (
        ("id", "text"),
        ("url", "text"),
        ("title", "text"),
        ("description", "text"),
        ("price", "bigint"),
        ("currency", "text"),
        ("bedrooms", "integer"),
        ("bathrooms", "integer"),
        ("area", "double precision"),
        ("address", "text"),
        ("city", "text"),
        ("postcode", "text"),
        ("latitude", "double precision"),
        ("longitude", "double precision"),
        ("furnished", "boolean"),
        ("listed_on", "date"),
        ("scraped_at", "timestamptz"),
        ("features", "jsonb"),
    ),
    _wide,
)
NARROW = Shape(
    "narrow",
    (
        ("sku", "text"),
        ("name", "text"),
        ("price", "double precision"),
        ("stock", "integer"),
        ("seen_at", "timestamptz"),
    ),
    _narrow,
)
SHAPES = {shape.name: shape for shape in (WIDE, NARROW)}


def make_items(shape: Shape, count: int, seed: int) -> list[Item]:
    """`count` items with `count` different keys; fewer items of the same seed are a prefix of more."""
    chance = random.Random(f"{shape.name}/{seed}")
    return [shape.make(chance, number) for number in range(count)]


def line(item: Item) -> bytes:
    """The item as one line of NDJSON, its line feed included."""
    return orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE)


def row(shape: Shape, item: Mapping[str, Any]) -> Row:
    """The item as asyncpg's COPY takes it: values in the table's order, jsonb as text."""
    return tuple(orjson.dumps(item[name]).decode() if kind == "jsonb" else item[name] for name, kind in shape.columns)


def stored_before(items: Sequence[Item], *, changed: float, unchanged: float, seed: int) -> list[Item]:
    """What an upsert shall find in the table: a share of `items` (0 to 1) as they are, another with an older price."""
    chosen = random.Random(f"stored/{seed}").sample(range(len(items)), k=round((changed + unchanged) * len(items)))
    same = round(unchanged * len(items))
    return [
        *(items[index] for index in chosen[:same]),
        *({**items[index], "price": items[index]["price"] + 1} for index in chosen[same:]),
    ]


def cut(whole: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """`whole` in pieces of `size`, the last one perhaps smaller."""
    return [whole[start : start + size] for start in range(0, len(whole), size)]
