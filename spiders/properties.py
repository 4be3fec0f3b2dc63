"""Crawls the sample site: every page of the list, every property on it. `scrapy crawl properties -a site=URL`."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urljoin

import scrapy
from scrapy.http import Response

from spiders.items import Property
from spiders.loopback import require_loopback

_PRICE = re.compile(r"(?:[A-Z]{3}|[€£$])\s*([\d,]+(?:\.\d+)?)")


class PropertiesSpider(scrapy.Spider):
    """One item for each property, whatever its page looks like."""

    name = "properties"

    def __init__(self, site: str = "http://127.0.0.1:8000", **arguments: Any) -> None:
        super().__init__(**arguments)
        self.site = require_loopback(site, argument="site")

    async def start(self) -> AsyncIterator[scrapy.Request]:
        yield scrapy.Request(urljoin(self.site, "/properties"))

    def parse(self, response: Response) -> Iterator[scrapy.Request]:
        for href in response.css("article.card h2 a::attr(href), ul.featured a::attr(href)").getall():
            yield response.follow(href, self.parse_property)
        for href in response.css("a[rel=next]::attr(href)").getall():
            yield response.follow(href, self.parse)

    def parse_property(self, response: Response) -> Iterator[Property]:
        page = response.css("main")
        facts = dict(zip(page.css("dl.facts dt::text").getall(), page.css("dl.facts dd"), strict=False))
        data = _structured_data(response)
        place = data.get("geo", {})
        yield Property(
            reference=page.css(".reference b::text").get(),
            title=page.css("h1::text").get(),
            price=_price(page.css("p.price::text").get()),
            currency=page.css("p.price::attr(data-currency)").get(),
            bedrooms=_fact(facts, "Bedrooms"),
            bathrooms=_fact(facts, "Bathrooms"),
            area=_without_unit(_fact(facts, "Area")),
            street=page.css(".street::text").get(),
            city=page.css(".city::text").get(),
            postcode=page.css(".postcode::text").get(),
            latitude=place.get("latitude"),
            longitude=place.get("longitude"),
            listed_on=page.css("time.listed::attr(datetime)").get(),
            updated_at=page.css("time.updated::attr(datetime)").get(),
            agent=data.get("provider", {}).get("name"),
            features=page.css("ul.features li::text").getall(),
            description=page.css(".description p::text").get(),
            url=response.url,
        )


def _price(text: str | None) -> str | None:
    """From `EUR 449,500` to `449500`; what is no price stays as it stands."""
    found = _PRICE.fullmatch(text.strip()) if text else None
    return found[1].replace(",", "") if found else text


def _fact(facts: dict[str, Any], name: str) -> str | None:
    return facts[name].css("::text").get() if name in facts else None


def _without_unit(text: str | None) -> str | None:
    return text.removesuffix("m²").strip() if text else None


def _structured_data(response: Response) -> dict[str, Any]:
    text = response.css('script[type="application/ld+json"]::text').get()
    try:
        data = json.loads(text or "{}")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
