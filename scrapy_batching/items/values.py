"""What each kind of value is written as. The table in docs/items.md says the same to users."""

import base64
from array import array
from collections import UserList, UserString, deque
from collections.abc import Set as AbstractSet
from collections.abc import ValuesView
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import PurePath
from typing import Any
from uuid import UUID

from scrapy_batching.items.altered import MISSING, NO_TEXT, Altered, NoForm
from scrapy_batching.items.arrays import of_numpy
from scrapy_batching.items.fields import Reader, item_reader_of
from scrapy_batching.items.times import moment, subclassed_duration, subclassed_moment, time_of_day


def reader_of(cls: type) -> Reader | None:
    """How a value of this class is read, for what orjson does not write by itself or not as we do; else None."""
    exact = _EXACT.get(cls)
    return exact or item_reader_of(cls) or _plain_reader_of(cls)


def text_of_bytes(value: bytes | bytearray | memoryview) -> str | Altered:
    """UTF-8 where it is UTF-8, else base64. Raises NoForm for a memoryview of anything but bytes."""
    view = memoryview(value)
    if view.format not in ("B", "b", "c"):
        raise NoForm(f"a memoryview of format {view.format!r}")
    raw = view.tobytes()
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return Altered(base64.b64encode(raw).decode(), NO_TEXT)


def _missing(_value: Any) -> Altered:
    return Altered(None, MISSING)


def _plain_reader_of(cls: type) -> Reader | None:
    for kinds, reader in _PLAIN:
        if issubclass(cls, kinds):
            return reader
    # Told by their shape: none of these is imported here, most crawls have none of them.
    match cls.__module__.partition(".")[0], cls.__name__:
        case "pandas", "NAType":
            return _missing
        case "numpy", _ if hasattr(cls, "tolist"):
            return of_numpy
        case "pydantic" | "pydantic_core", _ if hasattr(cls, "unicode_string"):  # AnyUrl and its kin
            return str
    return None


_EXACT: dict[type, Reader] = {datetime: moment, date: date.isoformat, time: time_of_day}
"""The times as Python has them, which most items hold: quicker than what their subclasses need."""

_PLAIN: tuple[tuple[type | tuple[type, ...], Reader], ...] = (
    (datetime, subclassed_moment),
    (date, date.isoformat),
    (time, time_of_day),
    (timedelta, subclassed_duration),
    # Subclasses have their own ideas of __str__ and __float__, which would be asked.
    (Decimal, Decimal.__str__),
    (UUID, UUID.__str__),
    (float, float.__float__),
    ((PurePath, UserString, IPv4Address, IPv4Network, IPv4Interface, IPv6Address, IPv6Network, IPv6Interface), str),
    ((bytes, bytearray, memoryview), text_of_bytes),
    ((AbstractSet, tuple, deque, range, array, UserList, ValuesView), list),
)
