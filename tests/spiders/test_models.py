"""The items that the spider reads, against the model of the table that they are for."""

import json
from dataclasses import asdict

import pytest
from pydantic import ValidationError
from scrapy.http import HtmlResponse

from ingest_server.models.table import spec_of
from spiders.listings import Flaw, listings
from spiders.models import Property
from spiders.pages import detail_page
from spiders.properties import PropertiesSpider

ALL = listings(count=1000, seed=7)


def item_of(listing):
    response = HtmlResponse("http://127.0.0.1:8000/properties/1", body=detail_page(listing), encoding="utf-8")
    (item,) = PropertiesSpider().parse_property(response)
    return json.dumps(asdict(item))


def test_a_sound_listing_is_valid_and_means_what_the_site_means():
    for listing in ALL[:200]:
        if listing.flaw is None:
            row = Property.model_validate_json(item_of(listing))
            for name in set(Property.model_fields) - {"url", "features"}:
                assert getattr(row, name) == getattr(listing, name), name
            assert tuple(row.features) == listing.features


@pytest.mark.parametrize(
    ("flaw", "column"),
    [
        (Flaw.NO_PRICE, "price"),
        (Flaw.NO_REFERENCE, "reference"),
        (Flaw.BAD_DATE, "listed_on"),
        (Flaw.CUT_OFF, "bedrooms"),
    ],
)
def test_a_flaw_is_refused_by_its_column(flaw, column):
    listing = next(listing for listing in ALL if listing.flaw is flaw)
    with pytest.raises(ValidationError) as refused:
        Property.model_validate_json(item_of(listing))
    assert refused.value.errors()[0]["loc"] == (column,)


def test_the_table_has_eighteen_columns_and_its_key():
    spec = spec_of(Property, "public")
    assert (spec.table.name, spec.key, spec.newest_by) == ("property", ("reference",), "updated_at")
    assert len(spec.columns) == 18
    assert {column.type for column in spec.columns} >= {"numeric", "date", "timestamp with time zone", "jsonb"}
