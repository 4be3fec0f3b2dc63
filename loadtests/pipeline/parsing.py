"""What a spider's callback does with the pages of `documents`: the fields of each listing, ready for any kind of item."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from parsel import Selector
from scrapy.http import Response, TextResponse

from loadtests.items import Item


def from_json(response: Response) -> Iterator[Item]:
    """A document is parsed at once, and the two times of each listing by the callback."""
    assert isinstance(response, TextResponse)
    for fields in response.json()["listings"]:
        fields["listed_on"] = dt.date.fromisoformat(fields["listed_on"])
        fields["scraped_at"] = dt.datetime.fromisoformat(fields["scraped_at"])
        yield fields


def from_html(response: Response) -> Iterator[Item]:
    """A selector for each field, as in Scrapy's own tutorial."""
    for row in response.css("article.listing"):
        yield {
            "id": row.attrib["data-id"],
            "url": _text(row, "h2 a::attr(href)"),
            "title": _text(row, "h2 a::text"),
            "description": _text(row, "p.description::text"),
            "price": int(_text(row, ".price::text")),
            "currency": _text(row, ".price::attr(data-currency)"),
            "bedrooms": int(_text(row, ".bedrooms::text")),
            "bathrooms": int(_text(row, ".bathrooms::text")),
            "area": float(_text(row, ".area::text")),
            "address": _text(row, ".address::text"),
            "city": _text(row, ".city::text"),
            "postcode": _text(row, ".postcode::text"),
            "listed_on": dt.date.fromisoformat(_text(row, "time.listed::attr(datetime)")),
            "scraped_at": dt.datetime.fromisoformat(_text(row, "time.scraped::attr(datetime)")),
            "features": _features(row),
        }


def _features(row: Selector) -> dict[str, Any]:
    energy = row.css(".energy")
    return {
        "tags": row.css(".tags li::text").getall(),
        "floor": int(_text(row, ".floor::text")),
        "energy": {"class": energy.attrib["data-class"], "kwh": int(_text(energy, "::text"))},
    }


def _text(row: Any, query: str) -> str:
    found: str | None = row.css(query).get()
    assert found is not None, f"the page has no {query}"
    return found
