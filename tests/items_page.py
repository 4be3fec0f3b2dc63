"""The tables of docs/items.md, and the names that their examples use."""

import enum
import re
import uuid
from array import array
from collections import UserDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address, ip_network
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import numpy as np
from markupsafe import Markup
from parsel import Selector
from pydantic import AnyUrl, SecretStr

PAGE = Path(__file__).parent.parent / "docs" / "items.md"
DEAD_LETTER = "dead letter"


class Colour(enum.Enum):
    RED = "red"


class Bits(enum.Flag):
    A = 1
    B = 2


@attrs.define
class Point:
    x: Any
    y: Any = None


class Raises(UserDict[str, Any]):
    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("secret content")


cycle: dict[str, Any] = {}
cycle["again"] = [cycle]

_NAMES: dict[str, Any] = {
    **{one.__name__: one for one in (array, date, datetime, time, timedelta, timezone, Decimal, Fraction, ip_address)},
    **{one.__name__: one for one in (ip_network, PurePosixPath, ZoneInfo, Markup, Selector, AnyUrl)},
    **{one.__name__: one for one in (SecretStr, Colour, Bits, Point, Raises)},
    "UUID": uuid.UUID,
    "MappingProxyType": MappingProxyType,
    "numpy": np,
    "re": re,
    "cycle": cycle,
}


@dataclass(frozen=True)
class Row:
    """One row: what it says of a value, its example, its JSON, and the types of columns that take it."""

    said: str
    example: str
    json: str
    columns: tuple[str, ...]

    @property
    def value(self) -> Any:
        return eval(self.example, dict(_NAMES))  # our own page's

    @property
    def is_altered(self) -> bool:
        return "altered" in self.said

    @property
    def is_dead_letter(self) -> bool:
        return self.columns == (DEAD_LETTER,)


def _cells(heading: str) -> Iterator[list[str]]:
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].partition("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("| ") and "`" in line:
            yield [one.strip().replace(r"\|", "|") for one in re.split(r"(?<!\\)\|", line)[1:-1]]


VALUES = [
    Row(said, example.strip("`"), json.strip("`"), tuple(one.strip(" `") for one in columns.split(",")))
    for said, example, json, columns in _cells("Values")
]
REJECTED = [Row(said, example.strip("`"), "", ()) for said, example in _cells("What is rejected")]
