"""What is an item, and which of its attributes are its fields."""

import dataclasses
from collections.abc import Callable, Mapping
from keyword import iskeyword
from operator import attrgetter
from typing import Any

from itemadapter import ItemAdapter
from itemadapter.adapter import AdapterInterface

Reader = Callable[[Any], Any]
"""Gives for a value something simpler: for an item the mapping of its fields, for a Decimal its text."""

_values_of_a_scrapy_item = attrgetter("_values")


def item_reader_of(cls: type) -> Reader | None:
    """How an item of this class gives its fields as a mapping; None where it is no item. Nothing is copied if possible.

    The item's own values are taken: `ItemAdapter.asdict` costs twenty times what all the rest of the road does.
    """
    if issubclass(cls, dict):
        return _itself
    if issubclass(cls, Mapping):
        # scrapy.Item, told by its shape: this module is read where Scrapy is not.
        return _values_of_a_scrapy_item if hasattr(cls, "fields") and hasattr(cls, "deepcopy") else dict
    if _takes_more_attributes(cls):
        return _attributes_of
    names = _field_names(cls)
    if names is not None:
        read = _fields_reader(cls, names)
        return _with_extras(read) if hasattr(cls, "__pydantic_extra__") else read
    # itemadapter's own were asked for above; they take a class that has every attribute one asks for, and raise.
    taught = (one for one in ItemAdapter.ADAPTER_CLASSES if one.__module__ != AdapterInterface.__module__)
    adapter = next((one for one in taught if one.is_item_class(cls)), None)
    return None if adapter is None else _adapted(adapter)


def _itself(value: Any) -> Any:
    return value


def _attributes_of(item: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = vars(item)
    return attributes


def own_attribute(cls: type, name: str) -> Any:
    """What the class or one of its bases holds under this name, or None; without asking a metaclass's own code."""
    return next((vars(one)[name] for one in cls.__mro__ if name in vars(one)), None)


def _takes_more_attributes(cls: type) -> bool:
    """Whether an item's attributes are its fields and what it was given beyond them, and nothing else.

    So it is for a pydantic dataclass with `extra="allow"`, and for every model of pydantic 1.
    """
    config = own_attribute(cls, "__pydantic_config__")
    if dataclasses.is_dataclass(cls):
        return isinstance(config, dict) and config.get("extra") == "allow"
    return isinstance(own_attribute(cls, "__fields__"), dict) and own_attribute(cls, "__pydantic_fields__") is None


def _field_names(cls: type) -> tuple[str, ...] | None:
    """The fields of a dataclass, an attrs class or a pydantic model, in their order; None for any other class."""
    if own_attribute(cls, "__dataclass_fields__") is not None:
        return tuple(one.name for one in dataclasses.fields(cls))
    attrs = own_attribute(cls, "__attrs_attrs__")
    if attrs is not None:
        return tuple(one.name for one in attrs)
    fields = own_attribute(cls, "__pydantic_fields__")
    return tuple(fields) if isinstance(fields, dict) else None


def _fields_reader(cls: type, names: tuple[str, ...]) -> Reader:
    """Reads the fields that are set.

    orjson would write a dataclass by itself, but with attributes that are no fields and without fields named `_x`.
    """

    def read_one_by_one(item: Any) -> dict[str, Any]:
        return {name: getattr(item, name) for name in names if hasattr(item, name)}

    def read_dict(item: Any) -> dict[str, Any]:
        own: dict[str, Any] = item.__dict__
        # As good as always the fields in their order: a third of what it costs to compare them as sets.
        return own if tuple(own) == names else read_one_by_one(item)

    if cls.__dictoffset__:
        return read_dict
    if not all(name.isidentifier() and not iskeyword(name) for name in names):
        return read_one_by_one
    # Made as dataclasses and attrs make their methods: half of what attrgetter and zip cost.
    read_slots: Reader = eval("lambda item: {" + ", ".join(f"{name!r}: item.{name}" for name in names) + "}")  # noqa: S307

    def read(item: Any) -> dict[str, Any]:
        try:
            fields: dict[str, Any] = read_slots(item)
        except AttributeError:  # one of them is not set
            return read_one_by_one(item)
        return fields

    return read


def _with_extras(read: Reader) -> Reader:
    """Reads what a pydantic model with `extra="allow"` was given beyond its fields as well."""

    def read_all(item: Any) -> dict[str, Any]:
        extras: dict[str, Any] | None = item.__pydantic_extra__
        fields: dict[str, Any] = read(item)
        return fields | extras if extras else fields

    return read_all


def _adapted(adapter: type[AdapterInterface]) -> Reader:
    def read(item: Any) -> dict[str, Any]:
        return dict(adapter(item))

    return read
