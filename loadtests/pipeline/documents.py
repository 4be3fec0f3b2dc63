"""Pages that really hold their listings: one JSON document, or one HTML page, made from the seed."""

from functools import lru_cache
from html import escape

import orjson

from loadtests.items import Item
from loadtests.pipeline.listings import maker

_KEPT = 4
"""Documents that are kept once they were made: every contender of a round gets the same one."""


@lru_cache(maxsize=_KEPT)
def json_document(items: int, seed: int) -> bytes:
    """`{"listings": [...]}`, with times as text."""
    make = maker("dict", seed)
    return orjson.dumps({"listings": [make(number) for number in range(items)]})


@lru_cache(maxsize=_KEPT)
def html_document(items: int, seed: int) -> bytes:
    """A page of search results, each field in an element of its own."""
    make = maker("dict", seed)
    rows = "\n".join(_row(make(number)) for number in range(items))
    return f"<!doctype html><html><head><title>Listings</title></head><body><main>{rows}</main></body></html>".encode()


def _row(item: Item) -> str:
    said = {name: escape(str(value)) for name, value in item.items() if name != "features"}
    features = item["features"]
    tags = "".join(f"<li>{escape(tag)}</li>" for tag in features["tags"])
    return f"""<article class="listing" data-id="{said["id"]}">
<h2><a href="{said["url"]}">{said["title"]}</a></h2><p class="description">{said["description"]}</p>
<p><span class="price" data-currency="{said["currency"]}">{said["price"]}</span></p>
<ul class="facts"><li class="bedrooms">{said["bedrooms"]}</li><li class="bathrooms">{said["bathrooms"]}</li>
<li class="area">{said["area"]}</li><li class="floor">{features["floor"]}</li></ul>
<p class="place"><span class="address">{said["address"]}</span><span class="city">{said["city"]}</span>
<span class="postcode">{said["postcode"]}</span></p><ul class="tags">{tags}</ul>
<p><span class="energy" data-class="{features["energy"]["class"]}">{features["energy"]["kwh"]}</span></p>
<time class="listed" datetime="{item["listed_on"].isoformat()}"></time>
<time class="scraped" datetime="{item["scraped_at"].isoformat()}"></time></article>"""
