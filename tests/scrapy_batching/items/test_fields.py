"""Which fields of each kind of item are written."""

import collections
import json
from functools import cached_property
from typing import Any

import attrs
import pytest

from scrapy_batching.items.encode import Encoder
from tests.scrapy_batching.items.kinds import (
    BESIDE,
    KINDS,
    Data,
    Hidden,
    Item,
    LooseAttrs,
    Model,
    Root,
    Slotted,
    loaded,
)

SLOW = 2**70
"""No number of orjson's: an item that holds it goes the slow way."""


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_item_gives_its_fields(kind):
    assert json.loads(Encoder()(KINDS[kind](1))[0]) == {"x": 1, **BESIDE.get(kind, {})}


@pytest.mark.parametrize("value", [1, None, SLOW], ids=["quickly", "with null", "slowly"])
@pytest.mark.parametrize("inner", KINDS)
@pytest.mark.parametrize("outer", KINDS)
def test_each_kind_may_hold_each_kind(outer, inner, value):
    line, altered = Encoder()(KINDS[outer]([KINDS[inner](value), {"a": KINDS[inner](value)}]))
    written = {"x": value, **BESIDE.get(inner, {})}
    assert json.loads(line) == {"x": [written, {"a": written}], **BESIDE.get(outer, {})}
    assert altered == ()


@pytest.mark.parametrize(
    ("item", "written"),
    [
        (collections.OrderedDict(x=1), {"x": 1}),
        (collections.defaultdict(list, x=1), {"x": 1}),
        (collections.ChainMap({"x": 1}, {"y": 2}), {"x": 1, "y": 2}),
        (collections.UserDict(x=1), {"x": 1}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (loaded("a"), {"x": ["a"]}),
        (Hidden(), {"x": 1, "_hidden": 2}),
        (Item(), {}),
        (Root([1]), {"root": [1]}),
    ],
)
def test_other_items_give_theirs(item, written):
    assert json.loads(Encoder()(item)[0]) == written
    assert json.loads(Encoder()({"in": item, "n": SLOW})[0]) == {"in": written, "n": SLOW}


def test_attributes_that_are_no_fields_stay_out():
    """orjson alone would write them, and leave `_hidden` out."""
    item = Hidden()
    item.note = "mine"
    assert json.loads(Encoder()(item)[0]) == {"x": 1, "_hidden": 2}
    assert json.loads(Encoder()({"in": item})[0]) == {"in": {"x": 1, "_hidden": 2}}


class Derived(Data):
    @cached_property
    def twice(self) -> int:
        return 2 * self.x

    @property
    def plain(self) -> int:
        return 3


def test_properties_stay_out_even_those_that_were_kept():
    item = Derived()
    assert (item.twice, item.plain, Model().computed) == (2, 3, 6)
    assert json.loads(Encoder()(item)[0]) == {"x": 1}


def test_a_field_that_was_deleted_stays_out():
    slotted, loose = Slotted(), LooseAttrs.__new__(LooseAttrs)
    del slotted.x
    assert Encoder()(slotted)[0] == b"{}"
    assert Encoder()(loose)[0] == b"{}"


@attrs.define
class Many:
    a: Any = 1
    b: Any = 2


def test_one_of_several_slots_that_was_deleted_stays_out():
    item = Many()
    del item.a
    assert Encoder()(item)[0] == b'{"b":2}'


class Answering:
    """An object that has every attribute one asks for."""

    def __getattr__(self, name: str) -> Any:
        return {"x": 1}


class AnsweringType(type):
    def __getattr__(cls, name: str) -> Any:
        return {"x": 1}


class AnsweringClass(metaclass=AnsweringType):
    pass


@pytest.mark.parametrize("value", [Answering(), AnsweringClass(), AnsweringClass])
def test_what_only_answers_to_every_name_is_no_item(value):
    with pytest.raises(Exception, match=r"a tests\..*Answering.* at x"):
        Encoder()({"x": value})
    with pytest.raises(Exception, match="it is no item"):
        Encoder()(value)


def test_a_line_is_the_item_as_it_was():
    item = {"x": [1]}
    line, _ = Encoder()(item)
    item["x"].append(2)
    assert line == b'{"x":[1]}'
