"""Every item, faithfully: what each kind of value becomes, and what is refused rather than changed."""

import base64
import collections
import dataclasses
import datetime as dt
import enum
import json
import math
import pathlib
import uuid
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import numpy as np
import pydantic
import pytest
import scrapy
from hypothesis import given
from hypothesis import strategies as st

from scrapy_batching.errors import ItemNotEncodable
from scrapy_batching.items.encode import Encoder

TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates and NUL too
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary() | st.decimals(allow_nan=False)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=20
)


def documented(value: Any) -> Any:
    """The conversion as the docs say it, written a second time and slowly."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, list):
        return [documented(one) for one in value]
    if isinstance(value, dict):
        return {key: documented(one) for key, one in value.items()}
    return value


def has_nonfinite(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, list | dict):
        return any(map(has_nonfinite, value.values() if isinstance(value, dict) else value))
    return False


@given(st.dictionaries(TEXT, VALUES))
def test_reading_a_line_back_gives_the_documented_conversion(item):
    line, altered = Encoder()(item)
    assert json.loads(line) == documented(item)
    assert b"\n" not in line
    assert altered == has_nonfinite(item)


@dataclasses.dataclass
class Data:
    x: Any = 1
    _hidden: Any = 2


@dataclasses.dataclass(slots=True)
class Slotted:
    x: Any = 1


@attrs.define
class Attrs:
    x: Any = 1


@attrs.define(slots=False)
class LooseAttrs:
    x: Any = 1


class Model(pydantic.BaseModel):
    x: Any = 1
    renamed: Any = pydantic.Field(default=None, alias="other")


class Open(pydantic.BaseModel, extra="allow"):
    x: Any = 1


class Item(scrapy.Item):
    x = scrapy.Field()
    y = scrapy.Field()


class Colour(enum.Enum):
    RED = "red"
    PRICE = Decimal("1.50")


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


class Number(float):
    pass


Pair = collections.namedtuple("Pair", "a b")  # noqa: PYI024 - the untyped kind is what spiders use
ZONE = dt.timezone(dt.timedelta(hours=2))


@pytest.mark.parametrize(
    ("item", "written"),
    [
        ({"x": 1}, {"x": 1}),
        (collections.OrderedDict(x=1), {"x": 1}),
        (collections.ChainMap({"x": 1}), {"x": 1}),
        (Item(x=1), {"x": 1}),
        (Data(), {"x": 1, "_hidden": 2}),
        (Slotted(), {"x": 1}),
        (Attrs(), {"x": 1}),
        (LooseAttrs(), {"x": 1}),
        (Model(other=3), {"x": 1, "renamed": 3}),
        (Open(more=3), {"x": 1, "more": 3}),
        (
            Item(x=Data(x=Attrs(x=Model(x=Item(y={"z": Slotted()})))), y=[Open()]),
            {
                "x": {"x": {"x": {"x": {"y": {"z": {"x": 1}}}, "renamed": None}}, "_hidden": 2},
                "y": [{"x": 1}],
            },
        ),
    ],
)
def test_each_kind_of_item_gives_its_fields(item, written):
    line, altered = Encoder()(item)
    assert json.loads(line) == written
    assert not altered


def test_attributes_that_are_no_fields_stay_out():
    """orjson alone would write them, and leave `_hidden` out."""
    item = Data()
    item.note = "mine"
    assert json.loads(Encoder()(item)[0]) == {"x": 1, "_hidden": 2}


def test_a_field_that_was_deleted_stays_out():
    item = Slotted()
    del item.x
    assert Encoder()(item)[0] == b"{}"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (dt.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),  # noqa: DTZ001 - naive on purpose
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=ZONE), "2026-01-02T03:04:05+02:00"),
        (dt.datetime(2026, 7, 2, tzinfo=ZoneInfo("Europe/Berlin")), "2026-07-02T00:00:00+02:00"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.time(3, 4, 5), "03:04:05"),
        (dt.time(3, 4, 5, tzinfo=ZONE), "03:04:05+02:00"),
        (dt.timedelta(days=1, hours=2, microseconds=5), "P1DT2H0.000005S"),
        (dt.timedelta(seconds=-90), "-PT1M30S"),
        (dt.timedelta(), "PT0S"),
        (dt.timedelta(days=3), "P3D"),
        (Decimal("12.50"), "12.50"),
        (Decimal("1E+3"), "1E+3"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (b"text", "text"),
        (bytearray(b"text"), "text"),
        (memoryview(b"\xff\xfe"), "//4="),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (Colour.RED, "red"),
        (Colour.PRICE, "1.50"),
        (Text("itself"), "itself"),
        (Number(1.5), 1.5),
        ((1, 2), [1, 2]),
        (Pair(1, 2), [1, 2]),
        ({1}, [1]),
        (frozenset([1]), [1]),
        (collections.deque([1]), [1]),
        (np.int64(4), 4),
        (np.float32(1.5), 1.5),
        (np.float16(1.5), 1.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.arange(6).reshape(2, 3)[:, ::2], [[0, 2], [3, 5]]),
        (np.array(["a"], dtype=object), ["a"]),
        (2**70, 2**70),
        (-(2**70), -(2**70)),
        ("\ud800", "\ud800"),
        ("a\x00b\n\u2028", "a\x00b\n\u2028"),
        ({2: "a", None: "b", 1.5: "c", True: "d"}, {"2": "a", "null": "b", "1.5": "c", "true": "d"}),
        ({dt.date(2026, 1, 2): 1}, {"2026-01-02": 1}),
        ({b"k": 1, Decimal("1.0"): 2, 2**70: 3}, {"k": 1, "1.0": 2, str(2**70): 3}),
        ({"x": {"\ud800": {1: dt.time(1, tzinfo=ZONE)}}}, {"x": {"\ud800": {"1": "01:00:00+02:00"}}}),
    ],
)
def test_each_kind_of_value_has_its_form(value, written):
    line, altered = Encoder()({"value": value, "more": [value]})
    assert json.loads(line) == {"value": written, "more": [written]}
    assert b"\n" not in line
    assert not altered


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, Number("nan"), np.float64("nan"), np.array([1.0, math.nan]), Data(x=math.nan)],
)
@pytest.mark.parametrize("beside", [None, 2**70])
def test_numbers_that_json_cannot_say_become_null_and_are_told(value, beside):
    line, altered = Encoder()({"deep": [{"value": value}], "beside": beside})
    assert altered
    assert b"null" in line
    assert b"NaN" not in line


@pytest.mark.parametrize("item", [{"x": None}, {"null": 1}, {"x": "null"}, {"x": [None, {"y": None}]}])
def test_a_null_that_was_meant_is_not_told(item):
    assert Encoder()(item)[1] is False


def cycle() -> dict[str, Any]:
    item: dict[str, Any] = {}
    item["again"] = [item]
    return item


class Broken(collections.UserDict):
    def __iter__(self):
        raise RuntimeError("secret content")


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"a": [0, {"b": object()}]}, "builtins.object at a[1].b"),
        ({"a": 1j}, "builtins.complex at a"),
        ({"a": lambda: 1}, "function at a"),
        ({"a": Item}, "at a"),
        ({(1, 2): 1}, "a key of type tuple"),
        ({1: "a", "1": "b"}, "two keys that are written alike"),
        ({"a": 10**5000}, "too many digits at a"),
        (cycle(), "it contains itself"),
        (Broken(), "its code raised RuntimeError"),
        (5, "it is no item"),
        (None, "it is no item"),
    ],
)
def test_what_has_no_form_is_refused_with_its_place_and_without_its_content(item, said):
    with pytest.raises(ItemNotEncodable) as caught:
        Encoder()(item)
    assert said in str(caught.value)
    assert "secret content" not in str(caught.value)
    assert type(item).__qualname__ in str(caught.value)


def test_an_item_may_be_large_and_deep():
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(300):
        inner["d"] = inner = {}
    assert json.loads(Encoder()(deep)[0]) == deep
    assert len(Encoder()({"x": "y" * 20_000_000})[0]) == 20_000_008
