"""The table that the sample site's items go into: `ingest-server run --tables spiders.models`.

Field types become column types, `| None` makes a column nullable, and the constraints are checked for every item before
PostgreSQL sees it. An item that fails is a dead letter that names the column.
"""

from datetime import date, datetime
from decimal import Decimal

from pydantic import Field

from ingest_server import Table


class Property(Table, key="reference", mode="upsert", newest_by="updated_at"):
    """A property as it was last seen; what has not changed is not written again."""

    reference: str = Field(min_length=1, max_length=40)
    title: str
    price: Decimal = Field(gt=0, max_digits=12, decimal_places=2)
    currency: str = Field(pattern="^[A-Z]{3}$")
    bedrooms: int = Field(ge=0, le=100)
    bathrooms: int = Field(ge=0, le=100)
    area: float = Field(gt=0)
    street: str
    city: str
    postcode: str
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    listed_on: date
    updated_at: datetime
    agent: str | None = None
    features: list[str]
    description: str | None = None
    url: str
