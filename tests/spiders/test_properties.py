from datetime import date, datetime
from decimal import Decimal

from scrapy.http import HtmlResponse

from spiders.listings import Flaw, listings, sound
from spiders.pages import detail_page
from spiders.properties import PropertiesSpider
from tests.spiders.crawls import crawl

ALL = listings(count=120, seed=7)


def scrape(listing):
    response = HtmlResponse("http://127.0.0.1:8000/properties/1", body=detail_page(listing), encoding="utf-8")
    (item,) = PropertiesSpider().parse_property(response)
    return item


def flawed(flaw):
    return next(listing for listing in listings(count=1000, seed=7) if listing.flaw is flaw)


async def test_every_property_is_scraped_once_and_sound_ones_as_the_site_means_them(site, tmp_path):
    crawled = await crawl(tmp_path, "properties", f"site={site.make_url('/')}")
    assert crawled.exit_code == 0, crawled.log
    assert len(crawled.items) == len(ALL)
    assert crawled.stats["item_scraped_count"] == len(ALL)
    assert crawled.stats["retry/count"] == sum(listing.stumbles for listing in ALL) > 0
    truth = sound(ALL)
    found = {item["reference"]: item for item in crawled.items if item["reference"] in truth}
    assert len(found) == len(truth)
    for reference, listing in truth.items():
        item = found[reference]
        assert item.pop("url") == str(site.make_url(listing.path))
        assert item == {
            "reference": listing.reference,
            "title": listing.title,
            "price": str(listing.price),
            "currency": listing.currency,
            "bedrooms": str(listing.bedrooms),
            "bathrooms": str(listing.bathrooms),
            "area": str(listing.area),
            "street": listing.street,
            "city": listing.city,
            "postcode": listing.postcode,
            "latitude": listing.latitude,
            "longitude": listing.longitude,
            "listed_on": listing.listed_on.isoformat(),
            "updated_at": listing.updated_at.isoformat(),
            "agent": listing.agent,
            "features": list(listing.features),
            "description": listing.description,
        }
        assert Decimal(item["price"]) == listing.price
        assert date.fromisoformat(item["listed_on"]) == listing.listed_on
        assert datetime.fromisoformat(item["updated_at"]) == listing.updated_at


async def test_a_crawl_of_a_foreign_host_does_not_start(tmp_path):
    crawled = await crawl(tmp_path, "properties", "site=http://192.0.2.1/")
    assert crawled.exit_code == 1
    assert "not on this machine" in crawled.log
    assert crawled.items == []


def test_what_is_no_price_stays_as_the_page_says():
    assert scrape(flawed(Flaw.NO_PRICE)).price == "Price on application"


def test_a_page_without_a_reference_gives_an_item_without_one():
    item = scrape(flawed(Flaw.NO_REFERENCE))
    assert item.reference is None
    assert item.price is not None


def test_a_date_that_no_calendar_has_is_left_to_the_table():
    assert scrape(flawed(Flaw.BAD_DATE)).listed_on == "2026-02-30"


def test_a_nul_in_the_structured_data_arrives_in_the_item():
    assert "\0" in scrape(flawed(Flaw.NUL)).agent


def test_a_page_that_ends_in_the_middle_gives_what_it_has():
    item = scrape(flawed(Flaw.CUT_OFF))
    assert item.reference is not None
    assert item.bathrooms is None
    assert item.updated_at is None
    assert item.features == []
