"""docs/items.md says what is true: every row is tried, quickly and slowly."""

import json

import pytest

from scrapy_batching.errors import ItemNotEncodable
from scrapy_batching.items.encode import Encoder
from tests.items_page import REJECTED, VALUES, Row

SLOW = 2**70
"""No number of orjson's: an item that holds it goes the slow way."""


@pytest.mark.parametrize("row", VALUES, ids=lambda row: row.said)
def test_each_value_is_written_as_the_page_says(row: Row) -> None:
    quick, altered = Encoder()({"v": row.value, "w": [row.value]})
    slow, altered_slowly = Encoder()({"v": row.value, "w": [row.value], "n": SLOW})
    assert quick.decode() == f'{{"v":{row.json},"w":[{row.json}]}}' or not quick.isascii() or "18446" in row.json
    assert json.loads(quick) == {"v": json.loads(row.json), "w": [json.loads(row.json)]}
    assert json.loads(slow) == {**json.loads(quick), "n": SLOW}
    assert altered == altered_slowly
    assert len(altered) == row.is_altered


@pytest.mark.parametrize("row", REJECTED, ids=lambda row: row.said)
def test_each_value_without_a_rule_is_rejected_with_its_place(row: Row) -> None:
    for item in ({"a": [0, {"b": row.value}]}, {"a": [0, {"b": row.value}], "n": SLOW}):
        with pytest.raises(ItemNotEncodable) as caught:
            Encoder()(item)
        assert "a[1].b" in str(caught.value)
        assert "secret content" not in str(caught.value)


def test_the_page_has_all_its_rows() -> None:
    assert len(VALUES) > 40
    assert len(REJECTED) == 15
