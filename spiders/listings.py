"""The truth behind the sample site: the same seed, count and round give the same listings, here and in the site.

A few listings have a flaw, which their page then shows; the table refuses what a spider reads there. Between two
rounds a seeded part of the sound listings changes its price and its `updated_at`; nothing else changes.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache

_FLAWED_SHARE = 0.03
_STUMBLING_SHARE = 0.02
_REPRICED_SHARE = 0.12


class Flaw(StrEnum):
    """What is wrong with a page, and so with the item that a spider reads there."""

    NO_PRICE = "the price is text"
    NO_REFERENCE = "the reference is missing"
    BAD_DATE = "the date is not in the calendar"
    NUL = "a NUL character in the agent's name"
    CUT_OFF = "the page ends in the middle"


@dataclass(frozen=True)
class Listing:
    """A property for sale, as its page shows it, less the flaw."""

    number: int
    reference: str
    title: str
    price: Decimal
    currency: str
    bedrooms: int
    bathrooms: int
    area: float
    street: str
    city: str
    postcode: str
    latitude: float
    longitude: float
    listed_on: date
    updated_at: datetime
    agent: str
    features: tuple[str, ...]
    description: str
    flaw: Flaw | None
    stumbles: bool
    """Its page answers 500 once, and then well."""

    @property
    def path(self) -> str:
        return f"/properties/{self.number}"


@dataclass(frozen=True)
class _City:
    name: str
    postcode: str
    currency: str
    latitude: float
    longitude: float


_CITIES = (
    _City("Gent", "9000", "EUR", 51.0543, 3.7174),
    _City("Zürich", "8001", "CHF", 47.3769, 8.5417),
    _City("Kraków", "30-001", "PLN", 50.0647, 19.9450),
    _City("Málaga", "29001", "EUR", 36.7213, -4.4214),
    _City("Sheffield", "S1 2HE", "GBP", 53.3811, -1.4701),
    _City("Aarhus", "8000", "DKK", 56.1629, 10.2039),
    _City("Besançon", "25000", "EUR", 47.2378, 6.0241),
    _City("Łódź", "90-001", "PLN", 51.7592, 19.4560),
)
_STREETS = (
    "Mill Lane",
    "Rue de l'Église",
    "Kirchgasse",
    "Calle Nueva",
    "Harbour Road",
    "Møllevej",
    "ul. Długa",
    "Bridge St & Quay",
)
_KINDS = ("Studio", "Flat", "Terraced house", "Bungalow", "Farmhouse", "Loft", "Villa")
_FEATURES = (
    "garden",
    "balcony",
    "garage",
    "lift",
    "fireplace",
    "sea view",
    "solar panels",
    "cellar",
    "heat pump",
    "double glazing",
)
_AGENTS = ("Hart & Sons", "Núñez Propiedades", "Blå Dør", "Peeters “Immo”", "Under One Roof")
_SENTENCES = (
    "Bright rooms on a quiet street.",
    "Recently renovated, with oak floors and a new kitchen.",
    "Ten minutes on foot from the station.",
    "The roof was replaced last year; the boiler is <em>nearly</em> new.",
    "A garden facing south-west, with an old pear tree.",
    "Schools, shops and a market every Saturday within reach.",
    "Sold with the furniture — “as seen”.",
)
_FIRST_DAY = date(2026, 1, 5)


@cache
def listings(*, count: int = 1000, seed: int = 7, round: int = 0) -> tuple[Listing, ...]:  # noqa: A002  the glossary's word
    """All listings of the site as they stand in this round."""
    if round == 0:
        return _first_round(count, seed)
    before = listings(count=count, seed=seed, round=round - 1)
    rng = random.Random(f"{seed} round {round}")
    repriced = set(_part_of([listing.number for listing in before if listing.flaw is None], _REPRICED_SHARE, rng))
    return tuple(_repriced(listing, rng) if listing.number in repriced else listing for listing in before)


def sound(listings: Iterable[Listing]) -> dict[str, Listing]:
    """The listings that the table must hold after a crawl, by reference."""
    return {listing.reference: listing for listing in listings if listing.flaw is None}


def _first_round(count: int, seed: int) -> tuple[Listing, ...]:
    rng = random.Random(seed)
    flaws = tuple(Flaw)
    flawed = {number: flaws[at % len(flaws)] for at, number in enumerate(_part_of(range(count), _FLAWED_SHARE, rng))}
    stumbling = set(_part_of(range(count), _STUMBLING_SHARE, rng))
    return tuple(_listing(number, rng, flawed.get(number), number in stumbling) for number in range(count))


def _part_of(numbers: Iterable[int], share: float, rng: random.Random) -> list[int]:
    among = list(numbers)
    return rng.sample(among, round_up(len(among) * share))


def round_up(value: float) -> int:
    """A small site has at least one of everything that a big one has."""
    return -int(-value // 1)


def _listing(number: int, rng: random.Random, flaw: Flaw | None, stumbles: bool) -> Listing:
    city = rng.choice(_CITIES)
    kind = rng.choice(_KINDS)
    bedrooms = rng.randint(0, 6)
    street = f"{rng.choice(_STREETS)} {rng.randint(1, 240)}"
    listed_on = _FIRST_DAY + timedelta(days=rng.randrange(300))
    features = tuple(rng.sample(_FEATURES, rng.randint(1, 6)))
    return Listing(
        number=number,
        reference=f"PR-{number:06d}",
        title=f"{kind} with {features[0]} in {city.name}",
        price=Decimal(rng.randint(80, 2400) * 500),
        currency=city.currency,
        bedrooms=bedrooms,
        bathrooms=rng.randint(1, 1 + bedrooms // 2),
        area=round(rng.uniform(22, 70) + 24 * bedrooms, 1),
        street=street,
        city=city.name,
        postcode=city.postcode,
        latitude=round(city.latitude + rng.uniform(-0.05, 0.05), 6),
        longitude=round(city.longitude + rng.uniform(-0.05, 0.05), 6),
        listed_on=listed_on,
        updated_at=datetime(listed_on.year, listed_on.month, listed_on.day, tzinfo=UTC)
        + timedelta(seconds=rng.randrange(86_400)),
        agent=rng.choice(_AGENTS),
        features=features,
        description=" ".join(rng.choices(_SENTENCES, k=rng.randint(3, 8))),
        flaw=flaw,
        stumbles=stumbles,
    )


def _repriced(listing: Listing, rng: random.Random) -> Listing:
    step = rng.choice((-1, 1)) * rng.randint(1, 12)
    price = listing.price + Decimal(500) * step
    return replace(listing, price=price, updated_at=listing.updated_at + timedelta(days=rng.randint(1, 9)))
