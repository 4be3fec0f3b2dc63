"""BATCHING_ITEM_FILTER: a class as FEEDS take it, and what each mistake is told with."""

import pytest
from scrapy.extensions.feedexport import ItemFilter
from scrapy.settings import Settings as ScrapySettings

from scrapy_batching.errors import SettingsRefused
from scrapy_batching.settings.reading import read_settings
from tests.scrapy_batching.settings import shop

SHOP = "tests.scrapy_batching.settings.shop"


def made(written):
    return read_settings(ScrapySettings({"BATCHING_ITEM_FILTER": written})).item_filter


@pytest.mark.parametrize("written", [shop.OnlyDicts, f"{SHOP}.OnlyDicts", f" {SHOP}.OnlyDicts "])
def test_a_class_or_its_path_is_made_as_feeds_make_it(written):
    found = made(written)
    assert type(found) is shop.OnlyDicts
    assert found.feed_options == {}
    assert [found.accepts({}), found.accepts(shop.Book())] == [True, False]


def test_scrapy_s_own_class_is_one():
    assert made(ItemFilter).accepts(shop.Book())


@pytest.mark.parametrize("written", [None, "", " "])
def test_there_may_be_none(written):
    assert made(written) is None


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (f"{SHOP}.OnlyDict", f"did you mean {SHOP}.OnlyDicts?"),
        ("nowhere", "write an import path, as in 'myproject.filters.OnlyBooks'"),
        ("no.such.Filter", "it cannot be imported"),
        (shop.WithoutAccepts, "has no method `accepts(item)`"),
        (f"{SHOP}.by_kind", "write a class or its import path"),
        pytest.param(shop.OnlyDicts({}), "write a class or its import path", id="an instance"),
        (shop.NeedsAFormat, "making it raised KeyError in __init__, shop.py line"),
        (shop.Waits, "of `accepts`: it is a coroutine"),
        (shop.Asks, "of `accepts`: it is called with the item alone"),
        (5, "write a class"),
    ],
    ids=str,
)
def test_what_is_no_filter(written, said):
    with pytest.raises(SettingsRefused, match="BATCHING_ITEM_FILTER = ") as caught:
        made(written)
    (mistake,) = caught.value.mistakes
    assert said in mistake.remedy
