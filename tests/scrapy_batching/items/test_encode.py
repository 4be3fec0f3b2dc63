"""What the encoder promises whatever the item: a line or ItemNotEncodable, and a word on each alteration."""

import base64
import collections
import datetime as dt
import enum
import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itemadapter import ItemAdapter
from itemadapter.adapter import DictAdapter

from ingest_server.postgres.decoding.jsontext import not_an_object
from scrapy_batching.errors import ItemNotEncodable
from scrapy_batching.items.altered import NO_TEXT, NOT_FINITE
from scrapy_batching.items.encode import Encoder
from scrapy_batching.items.plain import MOST_DEPTH
from tests.items_page import Raises
from tests.scrapy_batching.items.kinds import KINDS, Data, Item

TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates and NUL too
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.dates()
    | st.times()
    | st.uuids()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXT, inner, max_size=4)
        | st.tuples(inner, inner)
        | st.builds(lambda kind, x: KINDS[kind](x), st.sampled_from(sorted(set(KINDS) - {"dict"})), inner)
    ),
    max_leaves=20,
)


def documented(value: Any) -> Any:
    """The conversion as the docs say it, written a second time and slowly."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return base64.b64encode(value).decode()
        case dt.datetime() if (value.utcoffset() or dt.timedelta()) % dt.timedelta(minutes=1):
            return value.astimezone(dt.UTC).isoformat()
        case dt.date() | dt.time():
            return value.isoformat()
        case list() | tuple():
            return [documented(one) for one in value]
        case dict():
            return {key: documented(one) for key, one in value.items()}
    if ItemAdapter.is_item(value):
        # Scrapy knows nothing of what a model was given beyond its fields.
        beyond = (
            vars(value)
            if type(value).__name__ in ("OldOpen", "OpenData")
            else getattr(value, "__pydantic_extra__", None)
        )
        return documented(dict(ItemAdapter(value).items()) | (beyond or {}))
    return str(value)


def has_nonfinite(value: Any) -> bool:
    match value:
        case float():
            return not math.isfinite(value)
        case list() | tuple():
            return any(map(has_nonfinite, value))
        case dict():
            return any(map(has_nonfinite, value.values()))
    return ItemAdapter.is_item(value) and any(map(has_nonfinite, ItemAdapter(value).values()))


@settings(deadline=None)
@given(st.dictionaries(TEXT, VALUES))
def test_reading_a_line_back_gives_the_documented_conversion(item):
    line, altered = Encoder()(item)
    assert json.loads(line) == documented(item)
    assert b"\n" not in line
    assert (NOT_FINITE in altered) == has_nonfinite(item)


@settings(deadline=None)
@given(st.dictionaries(TEXT, VALUES))
def test_the_quick_way_and_the_slow_way_write_the_same(item):
    item.pop("n", None)  # the name of what makes it slow
    quick, altered = Encoder()(item)
    slow, altered_slowly = Encoder()({**item, "n": 2**70})
    assert json.loads(slow) == {**json.loads(quick), "n": 2**70}
    assert altered == altered_slowly


KEYS = TEXT | st.integers() | st.none() | st.floats() | st.dates() | st.booleans() | st.binary() | st.tuples()


@settings(deadline=None)
@given(st.dictionaries(KEYS, st.none() | st.just(object()) | st.dictionaries(KEYS, SCALARS)))
def test_a_line_is_one_object_of_json_or_the_item_is_refused(item):
    try:
        line, _ = Encoder()(item)
    except ItemNotEncodable:
        return
    json.loads(line.decode())
    # The server's own reader; half a surrogate pair is all that it may find wrong.
    assert not_an_object(line) in (None, "holds half of a surrogate pair")


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        np.float64("nan"),
        np.float32("inf"),
        np.array([1.0, math.nan]),
        Data(x=math.nan),
        (math.nan,),
        collections.OrderedDict(a=math.nan),
        collections.deque([math.nan]),
        enum.Enum("E", {"A": math.nan}).A,
        {"a": [None, math.nan]},
    ],
    ids=repr,
)
@pytest.mark.parametrize("beside", [None, "null", 2**70])
def test_numbers_that_json_cannot_say_become_null_and_are_told(value, beside):
    line, altered = Encoder()({"deep": [{"value": value}], "beside": beside})
    assert altered == (NOT_FINITE,)
    assert b"null" in line
    assert b"NaN" not in line
    assert Encoder()({"value": value, "beside": beside})[1] == (NOT_FINITE,)


@pytest.mark.parametrize(
    "item",
    [{"x": None}, {"null": 1}, {"x": "null"}, {"x": [None, {"y": None}, Data(x=None), Decimal(1), {1: None}]}],
)
def test_a_null_that_was_meant_is_not_told(item):
    assert Encoder()(item)[1] == ()


def test_every_cause_is_told_and_none_of_the_item_before():
    encode = Encoder()
    assert encode({"x": math.nan, "y": b"\xff"})[1] == (NOT_FINITE, NO_TEXT)
    assert encode({"x": 1.5, "y": b"f"})[1] == ()
    with pytest.raises(ItemNotEncodable):
        encode({"x": b"\xff", "y": object()})
    assert encode({"x": 1})[1] == ()


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"a": [0, {"b": object()}]}, "builtins.object at a[1].b"),
        (Item(x=Data(x=(1, object()))), "builtins.object at x.x[1]"),
        ({"a": Item}, "at a"),
        ({"a": {(1, 2): 1}}, "a key of type tuple at a"),
        ({1: "a", "1": "b"}, "two keys that are written alike at 1;"),
        ({"a": [{"b": 1, None: 2, "null": 3}]}, "two keys that are written alike at a[0].null;"),
        ({"a": 10**5000}, "too many digits at a"),
        ({"a": {"b": Raises()}}, "its code raised RuntimeError at a.b"),
        (Raises(), "its code raised RuntimeError"),
        ({"a": orjson.Fragment(b'1\n{"b":2}')}, "orjson.Fragment at a"),
        (5, "it is no item"),
        (None, "it is no item"),
        ([{"a": 1}], "it is no item"),
        (Item, "it is no item"),
    ],
)
def test_what_has_no_form_is_refused_with_its_place_and_without_its_content(item, said):
    with pytest.raises(ItemNotEncodable) as caught:
        Encoder()(item)
    assert said in str(caught.value)
    assert "secret content" not in str(caught.value)
    assert type(item).__qualname__ in str(caught.value)


def nested(levels: int, innermost: Any = 1) -> dict[str, Any]:
    """An object of so many levels."""
    item: dict[str, Any] = {"d": innermost}
    for _ in range(levels - 1):
        item = {"d": item}
    return item


@pytest.mark.parametrize("levels", [100, 253, 254, 255, 256, MOST_DEPTH])
def test_an_item_may_be_deep(levels):
    assert json.loads(Encoder()(nested(levels))[0]) == nested(levels)


@pytest.mark.parametrize("levels", [MOST_DEPTH + 1, 1000, 100_000])
def test_an_item_may_be_too_deep(levels):
    with pytest.raises(ItemNotEncodable, match="nested too deep"):
        Encoder()(nested(levels))


def test_a_cycle_and_too_many_levels_are_told_apart_with_their_place():
    def said(item):
        with pytest.raises(ItemNotEncodable) as caught:
            Encoder()(item)
        return str(caught.value)

    assert "nested too deep, with more than 300 levels, at d.d.d.d" in said(nested(301))
    same = {"n": 1}
    inner: dict[str, Any] = {"a": same, "b": [same]}
    inner["b"].append(inner)
    assert "it contains itself at x[0].b[1];" in said({"x": [inner]})
    twice = [[1], {"a": 1}, Data(x=1)]
    for one in twice:
        assert "more than 300 levels" in said({"x": one, "y": one, "z": nested(310)}), (
            "what is there twice holds itself not"
        )


def test_items_of_items_that_contain_themselves_are_told_as_that():
    item = Data()
    item.x = [item]
    with pytest.raises(ItemNotEncodable, match=r"it contains itself at x\[0\]"):
        Encoder()(item)


def test_items_of_items_may_be_too_deep():
    item = Data()
    for _ in range(1000):
        item = Data(x=[item])
    with pytest.raises(ItemNotEncodable, match="nested too deep"):
        Encoder()(item)


def test_an_item_may_be_large():
    assert len(Encoder()({"x": "y" * 20_000_000})[0]) == 20_000_008


class Odd:
    """A class that is an item for nobody but who was taught it."""


class OddAdapter(DictAdapter):
    @classmethod
    def is_item(cls, item: Any) -> bool:
        return isinstance(item, Odd)

    @classmethod
    def is_item_class(cls, item_class: type) -> bool:
        return issubclass(item_class, Odd)

    def __init__(self, item: Any) -> None:
        super().__init__({"odd": True})


def test_what_itemadapter_was_taught_is_an_item(monkeypatch):
    monkeypatch.setattr(ItemAdapter, "ADAPTER_CLASSES", [OddAdapter, *ItemAdapter.ADAPTER_CLASSES])
    assert Encoder()(Odd())[0] == b'{"odd":true}'
    assert Encoder()({"x": Odd()})[0] == b'{"x":{"odd":true}}'


def test_classes_without_end_do_not_fill_the_memory():
    encode = Encoder()
    for _ in range(2500):
        encode({"x": collections.namedtuple("Once", "a")(1)})  # noqa: PYI024
    assert len(encode._values) <= 1000
    assert encode({"x": Decimal(1)})[0] == b'{"x":"1"}'


@given(st.datetimes(timezones=st.sampled_from([None, dt.UTC])) | st.dates())
def test_times_that_orjson_writes_are_isoformat(value):
    assert orjson.loads(Encoder()({"a": [value]})[0]) == {"a": [value.isoformat()]}
