"""Each kind of value, beyond the examples of docs/items.md: quickly and slowly, alone and in a list."""

import array
import collections
import datetime as dt
import enum
import ipaddress
import json
import pathlib
import uuid
from decimal import Decimal
from typing import Any, Self
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from parsel import Selector
from pydantic import AnyUrl, PostgresDsn

from scrapy_batching.items.altered import MISSING, NO_TIME, ODD_OFFSET
from scrapy_batching.items.encode import Encoder

SLOW = 2**70
"""No number of orjson's: an item that holds it goes the slow way."""
ZONE = dt.timezone(dt.timedelta(hours=2))


class Contrary:
    """Says something else than what it is."""

    def __str__(self) -> str:
        return "something else"

    __repr__ = __str__

    def isoformat(self, *_: Any) -> str:
        return "something else"

    def __int__(self) -> int:
        return 99

    def __float__(self) -> float:
        return 99.0

    def items(self) -> list[Any]:
        return [("something", "else")]

    def __iter__(self) -> Any:
        return iter(["something else"])


class Text(Contrary, str):
    __slots__ = ()


class Whole(Contrary, int):
    pass


class Real(Contrary, float):
    pass


class Exact(Contrary, Decimal):
    pass


class Moment(Contrary, dt.datetime):
    pass


class Day(Contrary, dt.date):
    pass


class Names(Contrary, dict):
    pass


class Several(Contrary, list):
    pass


class Name(Contrary, uuid.UUID):
    pass


class Colour(enum.Enum):
    RED = "red"
    PRICE = Decimal("1.50")
    PAIR = (1, 2)


class Word(enum.StrEnum):
    A = "a"


class Number(enum.IntEnum):
    A = 1


class Flags(enum.IntFlag):
    A = 1
    B = 2


class Own(str, enum.Enum):  # noqa: UP042 - whose value is not the text
    A = "a"

    def __new__(cls, text: str) -> Self:
        one = str.__new__(cls, text)
        one._value_ = len(text)
        return one


Pair = collections.namedtuple("Pair", "a b")  # noqa: PYI024 - the untyped kind is what spiders use


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Text("itself"), "itself"),
        (Whole(5), 5),
        (Whole(2**70), 2**70),
        (Real(1.5), 1.5),
        (Exact("1.50"), "1.50"),
        (Moment(2026, 1, 2, tzinfo=ZONE), "2026-01-02T00:00:00+02:00"),
        (Day(2026, 1, 2), "2026-01-02"),
        (Names(a=1), {"a": 1}),
        (Several([1]), [1]),
        (Name(int=5), "00000000-0000-0000-0000-000000000005"),
        (dt.datetime(1, 1, 1), "0001-01-01T00:00:00"),  # noqa: DTZ001 - naive on purpose
        (dt.datetime(9999, 12, 31, 23, 59, 59, 999999), "9999-12-31T23:59:59.999999"),  # noqa: DTZ001
        (dt.datetime(2026, 7, 2, tzinfo=ZoneInfo("Europe/Berlin")), "2026-07-02T00:00:00+02:00"),
        (dt.datetime(2026, 10, 25, 2, fold=1, tzinfo=ZoneInfo("Europe/Berlin")), "2026-10-25T02:00:00+01:00"),
        (dt.timedelta(), "PT0S"),
        (dt.timedelta(days=3), "P3D"),
        (dt.timedelta(days=1, hours=2, microseconds=5), "P1DT2H0.000005S"),
        (dt.timedelta.min, "-P999999999D"),
        (dt.timedelta.max, "P999999999DT23H59M59.999999S"),
        (Decimal("1E+3"), "1E+3"),
        (Decimal("-Infinity"), "-Infinity"),
        (Decimal("sNaN"), "sNaN"),
        (bytearray(b"text"), "text"),
        (memoryview(b"abcdef")[::2], "ace"),
        (pathlib.Path("a"), "a"),
        (ipaddress.ip_interface("10.0.0.1/24"), "10.0.0.1/24"),
        (PostgresDsn("postgresql://a@b/c"), "postgresql://a@b/c"),
        (AnyUrl("http://ä.example"), "http://xn--4ca.example/"),
        (Selector("<a>b</a>").css("a::text").getall(), ["b"]),
        (Colour.PRICE, "1.50"),
        (Colour.PAIR, [1, 2]),
        (Word.A, "a"),
        (Number.A, 1),
        (Flags.A | Flags.B, 3),
        (Own.A, "a"),
        (Pair(1, 2), [1, 2]),
        ({1}, [1]),
        (collections.deque([1]), [1]),
        (range(3), [0, 1, 2]),
        (array.array("d", [1.5]), [1.5]),
        (collections.UserList([1]), [1]),
        (collections.UserString("a"), "a"),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.values(), [1]),
        ({"a": 1}.items(), [["a", 1]]),
        (-(2**70), -(2**70)),
        (2**63, 2**63),
        ("a\x00b\n\u2028", "a\x00b\n\u2028"),
        ({"\ud800": "\udfff", "\0": 1}, {"\ud800": "\udfff", "\0": 1}),
        ({2: "a", None: "b", 1.5: "c", True: "d"}, {"2": "a", "null": "b", "1.5": "c", "true": "d"}),
        ({b"k": 1, Decimal("1.0"): 2, 2**70: 3}, {"k": 1, "1.0": 2, str(2**70): 3}),
        ({Text("t"): 1, Word.A: 2, Number.A: 3, Colour.RED: 4}, {"t": 1, "a": 2, "1": 3, "red": 4}),
        ({np.int64(1): 1, uuid.UUID(int=1): 2}, {"1": 1, "00000000-0000-0000-0000-000000000001": 2}),
        ({"x": {"\ud800": {1: dt.time(1, tzinfo=ZONE)}}}, {"x": {"\ud800": {"1": "01:00:00+02:00"}}}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_value_has_its_form(value, written):
    check(value, written, ())


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (np.float32(1.5), 1.5),
        (np.float32(1e20), 1e20),
        (np.float16(0.1), 0.1),
        (np.float64(0.1), 0.1),
        (np.bool_(True), True),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), "a"),
        (np.void(b"abc"), "abc"),
        (np.array(5), 5),
        (np.arange(6).reshape(2, 3)[:, ::2], [[0, 2], [3, 5]]),
        (np.array([1, 2], dtype=">i4"), [1, 2]),
        (np.array([0.1], dtype="f4"), [0.1]),
        (np.array([[0.1]], dtype="f2"), [[0.1]]),
        (np.array(["a"], dtype=object), ["a"]),
        (np.array(["a", "bc"]), ["a", "bc"]),
        (np.datetime64("2026-01-02"), "2026-01-02"),
        (np.datetime64("2026-01-02T03:04:05.123456789"), "2026-01-02T03:04:05.123456789"),
        (np.array(["2026-01-02"], dtype="M8[D]"), ["2026-01-02"]),
        (np.timedelta64(-5, "ns"), "-PT0.000000005S"),
        (np.timedelta64(3, "Y"), "P3Y"),
        (np.timedelta64(-3, "M"), "-P3M"),
        (np.timedelta64(2, "W"), "P14D"),
        (np.array([90], dtype="m8[s]"), ["PT1M30S"]),
        (np.rec.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f4")]), [{"a": 1, "b": 2.5}]),
        (np.ma.array([1, 2], mask=[False, False]), [1, 2]),
    ],
    ids=lambda value: getattr(getattr(value, "dtype", None), "str", None),
)
def test_each_kind_of_numpy_s_has_its_form(value, written):
    check(value, written, ())


class NotATime(dt.datetime):
    """As pandas' NaT: a datetime that is not equal to itself."""

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = None


class Fine(dt.datetime):
    """As pandas' Timestamp: a datetime with nanoseconds."""

    nanosecond = 789

    def isoformat(self, *_: Any) -> str:
        return f"{super().isoformat()}789"


class FineSpan(dt.timedelta):
    """As pandas' Timedelta."""

    nanoseconds = 789


NAType = type("NAType", (), {"__module__": "pandas._libs.missing"})


@pytest.mark.parametrize(
    ("value", "written", "causes"),
    [
        (NotATime(2026, 1, 1), None, (NO_TIME,)),
        (np.datetime64("NaT", "s"), None, (NO_TIME,)),
        (np.timedelta64("NaT", "s"), None, (NO_TIME,)),
        (np.array(["2026-01-02", "NaT"], dtype="M8[D]"), ["2026-01-02", None], (NO_TIME,)),
        (NAType(), None, (MISSING,)),
        (np.ma.array([1, 2], mask=[False, True]), [1, None], (MISSING,)),
        (np.ma.masked, None, (MISSING,)),
        (Fine(2026, 1, 2, 3, 4, 5, 123456), "2026-01-02T03:04:05.123456789", ()),
        (FineSpan(seconds=1, microseconds=5), "PT1.000005789S", ()),
        (
            dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(microseconds=17))),
            "2026-01-01T23:59:59.999983+00:00",
            (ODD_OFFSET,),
        ),
        # moved to UTC it would leave the calendar: written with its seconds, and nothing is lost
        (
            dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=17))),
            "0001-01-01T00:00:00+00:00:17",
            (),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_say_is_altered_and_told(value, written, causes):
    check(value, written, causes)


def check(value: Any, written: Any, causes: tuple[str, ...]) -> None:
    for item in ({"value": value, "more": [value]}, {"value": value, "more": [value], "slow": SLOW}):
        line, altered = Encoder()(item)
        assert {"slow": SLOW, **json.loads(line)} == {"value": written, "more": [written], "slow": SLOW}
        assert b"\n" not in line
        assert altered == causes
