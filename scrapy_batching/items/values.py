"""What each kind of value is written as. The table in docs/settings-client.md says the same to users."""

import base64
import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from operator import attrgetter
from pathlib import PurePath
from typing import Any

from itemadapter import ItemAdapter
from itemadapter.adapter import AdapterInterface

Reader = Callable[[Any], Any]
"""Gives for a value something simpler: for an item the mapping of its fields, for a Decimal its text."""

_values_of_a_scrapy_item = attrgetter("_values")


def reader_of(cls: type) -> Reader | None:
    """How a value of this class is read, for what orjson does not write by itself or not as an item; else None."""
    return item_reader_of(cls) or _plain_reader_of(cls)


def item_reader_of(cls: type) -> Reader | None:
    """How an item of this class gives its fields as a mapping; None where it is no item. Nothing is copied if possible.

    The item's own values are taken: `ItemAdapter.asdict` costs twenty times what all the rest of the road does.
    """
    if issubclass(cls, dict):
        return _itself
    if issubclass(cls, Mapping):
        # scrapy.Item, told by its shape: this module is read where Scrapy is not.
        return _values_of_a_scrapy_item if hasattr(cls, "fields") and hasattr(cls, "deepcopy") else dict
    names = _field_names(cls)
    if names is not None:
        return _fields_reader(cls, names)
    adapter = next((one for one in ItemAdapter.ADAPTER_CLASSES if one.is_item_class(cls)), None)
    return None if adapter is None else _adapted(adapter)


def text_of_bytes(value: bytes | bytearray | memoryview) -> str:
    """UTF-8 where it is UTF-8, else base64."""
    raw = bytes(value)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode()


def duration(value: timedelta) -> str:
    """ISO 8601: `P1DT2H3M4.5S`, with a leading minus where the whole is negative."""
    sign, value = ("-", -value) if value < timedelta() else ("", value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{value.microseconds:06}".rstrip("0") if value.microseconds else ""
    days = f"{value.days}D" if value.days else ""
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M")) if n)
    if seconds or fraction or not (days or clock):
        clock += f"{seconds}{fraction}S"
    return f"{sign}P{days}{'T' if clock else ''}{clock}"


def _itself(value: Any) -> Any:
    return value


def _field_names(cls: type) -> tuple[str, ...] | None:
    """The fields of a dataclass, an attrs class or a pydantic model, in their order; None for any other class."""
    if dataclasses.is_dataclass(cls):
        return tuple(one.name for one in dataclasses.fields(cls))
    attrs = getattr(cls, "__attrs_attrs__", None)
    if attrs is not None:
        return tuple(one.name for one in attrs)
    for mark in ("__pydantic_fields__", "__fields__"):
        fields = getattr(cls, mark, None)
        if isinstance(fields, dict):
            return tuple(fields)
    return None


def _fields_reader(cls: type, names: tuple[str, ...]) -> Reader:
    """Reads the fields that are set, and what a pydantic model with `extra="allow"` was given beyond them.

    orjson would write a dataclass by itself, but with attributes that are no fields and without fields named `_x`.
    """
    wanted = frozenset(names)
    has_extras = hasattr(cls, "__pydantic_extra__")

    def read(item: Any) -> Mapping[str, Any]:
        own: dict[str, Any] | None = getattr(item, "__dict__", None)
        if own is not None and own.keys() == wanted:
            fields = own
        else:
            fields = {name: getattr(item, name) for name in names if hasattr(item, name)}
        extras = item.__pydantic_extra__ if has_extras else None
        return fields | extras if extras else fields

    return read


def _adapted(adapter: type[AdapterInterface]) -> Reader:
    def read(item: Any) -> dict[str, Any]:
        return dict(adapter(item))

    return read


def _items_of(value: Iterable[Any]) -> list[Any]:
    return list(value)


def _plain_reader_of(cls: type) -> Reader | None:
    for kinds, reader in _PLAIN:
        if issubclass(cls, kinds):
            return reader
    # numpy by its shape: what orjson itself cannot write (float16, strided or object arrays) becomes lists and numbers.
    tolist = getattr(cls, "tolist", None)
    return tolist if callable(tolist) and cls.__module__.partition(".")[0] == "numpy" else None


_PLAIN: tuple[tuple[type | tuple[type, ...], Reader], ...] = (
    ((Decimal, PurePath), str),
    ((bytes, bytearray, memoryview), text_of_bytes),
    ((AbstractSet, tuple, deque), _items_of),
    (timedelta, duration),
    ((datetime, date, time), lambda value: value.isoformat()),
    (float, float),
)
