"""What the spiders yield. The class's name in snake case is the table: `property`, `documentation_page`.

The fields hold what the page said. Whether that is a price or a date is for the table to say: an item that it refuses
becomes a dead letter with the reason, and a spider that guesses instead would hide it.
"""

from dataclasses import dataclass


@dataclass
class Property:
    """One property for sale."""

    reference: str | None
    title: str | None
    price: str | None
    currency: str | None
    bedrooms: str | None
    bathrooms: str | None
    area: str | None
    street: str | None
    city: str | None
    postcode: str | None
    latitude: float | None
    longitude: float | None
    listed_on: str | None
    updated_at: str | None
    agent: str | None
    features: list[str]
    description: str | None
    url: str


@dataclass
class DocumentationPage:
    """One page of a documentation tree."""

    url: str
    path: str
    title: str | None
    h1: str | None
    section: str | None
    language: str | None
    headings: list[str]
    words: int
    text_length: int
    links: int
    encoding: str
    html_length: int
    html_sha256: str
