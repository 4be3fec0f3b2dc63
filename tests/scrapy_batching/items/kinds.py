"""Items of every kind, for tests: each has a field `x`, which holds anything."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import attrs
import pydantic
import scrapy
from itemloaders import ItemLoader


@dataclasses.dataclass
class Data:
    x: Any = 1


@dataclasses.dataclass
class Hidden:
    x: Any = 1
    _hidden: Any = 2


@dataclasses.dataclass(slots=True)
class Slotted:
    x: Any = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: Any = 1
    y: Any = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Inherited(Frozen):
    z: Any = 3


@attrs.define
class Attrs:
    x: Any = 1


@attrs.define
class MoreAttrs(Attrs):
    y: Any = 2


@attrs.frozen(slots=False)
class LooseAttrs:
    x: Any = 1


class Model(pydantic.BaseModel):
    x: Any = 1
    renamed: Any = pydantic.Field(default=None, alias="other")
    _private: int = 5

    @pydantic.computed_field
    @property
    def computed(self) -> int:
        return 6


class Open(pydantic.BaseModel, extra="allow"):
    x: Any = 1


class Root(pydantic.RootModel[list[int]]):
    pass


@pydantic.dataclasses.dataclass
class ModelData:
    x: Any = 1


@pydantic.dataclasses.dataclass(config={"extra": "allow"})
class OpenData:
    x: Any = 1


class Item(scrapy.Item):
    x = scrapy.Field()
    y = scrapy.Field()


def loaded(x: Any) -> Item:
    """What an ItemLoader gives: every field is a list."""
    loader = ItemLoader(Item())
    loader.add_value("x", [x])
    return loader.load_item()


def model(x: Any) -> Model:
    return Model(x=x, other=3)


KINDS: dict[str, Callable[[Any], Any]] = {
    "dict": lambda x: {"x": x},
    "scrapy.Item": lambda x: Item(x=x),
    "dataclass": Data,
    "dataclass, slots": Slotted,
    "dataclass, frozen and inherited": Inherited,
    "attrs": Attrs,
    "attrs, inherited": MoreAttrs,
    "attrs, no slots": LooseAttrs,
    "pydantic": model,
    "pydantic, extra": lambda x: Open(x=x, more=4),
    "pydantic dataclass": ModelData,
    "pydantic dataclass, extra": lambda x: OpenData(x=x, more=4),
}
"""Makes an item of each kind with this `x`."""

BESIDE: dict[str, dict[str, Any]] = {
    "dataclass, frozen and inherited": {"y": 2, "z": 3},
    "attrs, inherited": {"y": 2},
    "pydantic": {"renamed": 3},
    "pydantic, extra": {"more": 4},
    "pydantic dataclass, extra": {"more": 4},
    "pydantic 1, extra": {"more": 4},
}
"""What is written beside `x`."""

if sys.version_info < (3, 14):  # pydantic 1 ends there
    import pydantic.v1

    class OldModel(pydantic.v1.BaseModel):
        x: Any = 1

    class OldOpen(pydantic.v1.BaseModel, extra="allow"):
        x: Any = 1

    KINDS["pydantic 1"] = lambda x: OldModel(x=x)
    KINDS["pydantic 1, extra"] = lambda x: OldOpen(x=x, more=4)
