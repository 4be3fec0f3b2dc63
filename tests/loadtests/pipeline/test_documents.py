"""The pages hold what a spider that makes its items from numbers would yield, and no less."""

import pytest
from itemadapter import ItemAdapter
from scrapy.http import HtmlResponse, TextResponse

from loadtests.pipeline.documents import html_document, json_document
from loadtests.pipeline.listings import KINDS, LISTING, maker
from loadtests.pipeline.parsing import from_html, from_json

ITEMS = 60


def read_json(items, seed):
    return from_json(TextResponse("http://site.example/", body=json_document(items, seed), encoding="utf-8"))


def read_html(items, seed):
    return from_html(HtmlResponse("http://site.example/", body=html_document(items, seed), encoding="utf-8"))


@pytest.mark.parametrize("read", [read_json, read_html])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_parsed_is_what_is_made_from_a_number(read, kind):
    make = maker(kind, seed=1)
    found = [KINDS[kind](**fields) for fields in read(ITEMS, 1)]
    assert found == [make(number) for number in range(ITEMS)]
    assert set(ItemAdapter(found[0])) == set(LISTING.names)


@pytest.mark.parametrize("read", [read_json, read_html])
def test_another_seed_gives_another_page(read):
    assert next(read(1, 1)) != next(read(1, 2))


def test_a_page_without_a_field_is_no_page():
    torn = HtmlResponse(
        "http://site.example/", body=b'<article class="listing" data-id="1"></article>', encoding="utf-8"
    )
    with pytest.raises(AssertionError, match="the page has no h2 a"):
        next(from_html(torn))
