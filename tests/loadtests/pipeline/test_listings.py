import orjson
import pytest
from itemadapter import ItemAdapter

from loadtests.items import line, make_items
from loadtests.pipeline.listings import KINDS, LISTING, maker, table_of
from scrapy_batching.names import snake_case


def test_a_listing_has_15_fields_and_about_550_bytes():
    made = make_items(LISTING, 200, seed=1)
    assert {tuple(item) for item in made} == {LISTING.names}
    assert len(LISTING.names) == 15
    assert 520 < sum(len(line(item)) for item in made) / len(made) < 600


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_holds_the_same_in_a_new_object(kind):
    make = maker(kind, seed=1)
    assert orjson.dumps(ItemAdapter(make(7)).asdict()) == orjson.dumps(maker("dict", seed=1)(7))
    assert make(7) is not make(7)
    assert ItemAdapter(make(1_007))["id"] != ItemAdapter(make(7))["id"]


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"dict"}))
def test_the_table_is_named_after_the_class(kind):
    assert snake_case(KINDS[kind].__name__) == table_of(kind)
