"""The demo's arithmetic, with every single figure bent once: a check is believed when it was seen to fail."""

from dataclasses import replace

import pytest

from spiders.demo.figures import Figures, Look, disagreements, figures
from spiders.listings import listings, sound

COUNT = 100


def rows(number):
    truth = sound(listings(count=COUNT, seed=7, round=number))
    return {
        key: {"reference": key, "price": one.price, "updated_at": one.updated_at, "title": one.title}
        for key, one in truth.items()
    }


def totals(inserted, updated, unchanged):
    return {
        "total": COUNT,
        "processed": COUNT,
        "pending": 0,
        "missing": 0,
        "failed": 3,
        "inserted": inserted,
        "updated": updated,
        "unchanged": unchanged,
    }


FIRST = Look(
    crawl="first",
    stats={"item_scraped_count": COUNT, "batching/items/delivered": COUNT},
    totals=totals(97, 0, 0),
    letters=3,
    before={},
    after=rows(0),
    truth=sound(listings(count=COUNT, seed=7, round=0)),
)
SECOND = replace(
    FIRST,
    crawl="second",
    totals=totals(0, 12, 85),
    before=rows(0),
    after=rows(1),
    truth=sound(listings(count=COUNT, seed=7, round=1)),
)


def test_two_good_crawls_agree_and_make_one_line():
    assert disagreements(FIRST) == []
    assert disagreements(SECOND) == []
    found = figures([FIRST, SECOND])
    assert found == Figures(scraped=200, inserted=97, updated=12, unchanged=85, dead=6)
    assert str(found) == "scraped 200 · inserted 97 · updated 12 · unchanged 85 · dead 6 · lost 0"


@pytest.mark.parametrize("total", ["total", "failed", "inserted", "updated", "unchanged", "pending", "missing"])
def test_a_total_of_the_server_that_is_wrong_by_one_is_named(total):
    bent = replace(SECOND, totals={**SECOND.totals, total: SECOND.totals[total] + 1})
    found = disagreements(bent)
    assert found
    assert all(sentence.startswith("second: ") for sentence in found)
    assert any(f"is {bent.totals[total]}" in sentence for sentence in found)


def test_an_item_that_scrapy_counted_and_nobody_has_is_lost():
    bent = replace(SECOND, stats={**SECOND.stats, "item_scraped_count": COUNT + 1})
    assert figures([FIRST, bent]).lost == 1
    assert "second: items scraped (Scrapy) is 101, but items received (server) is 100" in disagreements(bent)


def test_an_item_that_the_client_could_not_deliver_is_named():
    bent = replace(SECOND, stats={**SECOND.stats, "batching/items/delivered": COUNT - 1})
    assert disagreements(bent) == ["second: items scraped (Scrapy) is 100, but items delivered (client) is 99"]


def test_a_crawl_that_scraped_nothing_disagrees():
    assert disagreements(replace(FIRST, stats={}, totals={}))


def test_a_row_that_is_missing_is_named():
    after = dict(SECOND.after)
    after.popitem()
    assert "second: rows (table) is 96, but sound listings (site) is 97" in disagreements(replace(SECOND, after=after))


def test_a_row_that_differs_from_the_site_is_named():
    key = next(iter(SECOND.after))
    after = {**SECOND.after, key: {**SECOND.after[key], "price": -1}}
    found = disagreements(replace(SECOND, after=after, before={**SECOND.before, key: after[key]}))
    assert any("rows that differ from the site is 1" in sentence for sentence in found)


def test_a_dead_letter_too_few_is_named():
    assert disagreements(replace(FIRST, letters=2)) == ["first: dead (server) is 3, but dead letters (table) is 2"]


def test_what_stays_in_the_spool_is_named():
    assert disagreements(replace(FIRST, spooled=1)) == ["first: batches in the spool is 1, but none is 0"]
