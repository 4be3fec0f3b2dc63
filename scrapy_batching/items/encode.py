"""An item becomes one line of JSON, once: as fast as orjson where it can, and faithfully where orjson cannot."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from enum import Enum
from math import isfinite
from typing import Any

import orjson

from scrapy_batching.errors import ItemNotEncodable
from scrapy_batching.items.altered import NOT_FINITE, Altered
from scrapy_batching.items.fields import Reader, item_reader_of
from scrapy_batching.items.plain import TOO_DEEP, Plain
from scrapy_batching.items.values import reader_of

# What orjson would write by itself otherwise than we promise: attributes of a dataclass that are no fields, and times
# whose offset has seconds, which it cuts off. numpy's values are not given to it for the same reason.
OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_MOST_CLASSES = 1000
_dumps, _Fragment = orjson.dumps, orjson.Fragment
_LF = ord("\n")
_NEVER_NULL = frozenset({str, int, bool, type(None)})


class _Readers(dict[type, Reader | None]):
    """How each class is read, found out once; None: orjson may know it, we do not."""

    def __init__(self, find: Callable[[type], Reader | None]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, cls: type) -> Reader | None:
        if len(self) >= _MOST_CLASSES:  # a spider that makes a class for each page must not fill the memory
            self.clear()
        reader = self[cls] = self._find(cls)
        return reader


class Encoder:
    """Writes items. It learns each class once; one for each crawl."""

    def __init__(self) -> None:
        self.items: dict[type, Reader | None] = _Readers(item_reader_of)
        """What gives the fields of an item of each class; None: it is no item."""
        self._values = _Readers(reader_of)
        self.causes: set[str] = set()
        """Why what is written now is not quite what the item holds; empty between two items."""
        # Bound once, not for every item.
        self.default = self._simpler

    def __call__(self, item: Any) -> tuple[bytes, tuple[str, ...]]:
        """The item as one JSON object without a line break, and why it is not quite what the item holds: mostly ().

        The causes are those of `items.altered`, sorted. Raises ItemNotEncodable, and nothing else, whatever the
        item's own code does.
        """
        try:
            fields = item if type(item) is dict else self._fields(item)
            try:
                line = _dumps(fields, self.default, OPTIONS)
            except TypeError:
                # Every key that is not a text, integers beyond 64 bits, lone surrogates, depth: or it cannot be done.
                line = self._slowly(fields)
            else:
                # orjson writes NaN as null without a word. Only a line with a null can have one, so few items pay for this.
                # (rfind takes half the time of `in`, and a number in place of b"\n" a tenth.)
                if line.rfind(b"null") >= 0 and self.wrote_nan(fields, line):
                    self.causes.add(NOT_FINITE)
                if _LF in line:  # an orjson.Fragment: it is written unseen, whatever is in it
                    line = self._slowly(fields)
        except Exception as error:
            self.causes.clear()
            raise _not_encodable(item, error) from _reason(error)
        return (line, self._taken_causes()) if self.causes else (line, ())

    def _taken_causes(self) -> tuple[str, ...]:
        causes = tuple(sorted(self.causes))
        self.causes.clear()
        return causes

    def _fields(self, item: Any) -> dict[str, Any]:
        reader = self.items[type(item)]
        if reader is None:
            raise ItemNotEncodable("", "", "it is no item")
        fields: dict[str, Any] = reader(item)
        return fields

    def _simpler(self, value: Any) -> Any:
        """What orjson asks for a value that it does not know."""
        kind = type(value)
        # The times that most items hold: orjson's own text is isoformat's where no offset can be odd, and costs a third.
        if kind is datetime:
            zone = value.tzinfo
            if zone is None or zone is UTC:
                return _Fragment(_dumps(value))
        elif kind is date:
            return _Fragment(_dumps(value))
        reader = self._values[kind]
        if reader is None:
            raise TypeError
        simpler = reader(value)
        if type(simpler) is Altered:
            self.causes.add(simpler.cause)
            return simpler.value
        return simpler

    def _slowly(self, fields: dict[Any, Any]) -> bytes:
        tree = Plain(self._values.__getitem__, self.causes).of(fields)
        try:
            return orjson.dumps(tree)
        except TypeError:
            return json.dumps(tree, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()

    def wrote_nan(self, fields: dict[str, Any], line: bytes) -> bool:
        """Whether a line that holds `null` has one in the place of NaN or an infinity."""
        # Mostly each null is a None right below the top; a text may hold the word, too.
        nones = len([None for value in dict.values(fields) if value is None])
        return line.count(b"null") != nones and self._holds_nan(dict.values(fields))

    def _holds_nan(self, values: Iterable[Any]) -> bool:
        """Whether NaN or an infinity is among the values, at any depth, where orjson wrote it."""
        for value in values:
            kind = type(value)
            if kind in _NEVER_NULL:
                continue
            if kind is float:
                if not isfinite(value):
                    return True
            elif issubclass(kind, dict):
                if self._holds_nan(dict.values(value)):
                    return True
            elif issubclass(kind, list | tuple):
                if self._holds_nan(value):
                    return True
            elif self._holds_nan_inside(value, kind):
                return True
        return False

    def _holds_nan_inside(self, value: Any, kind: type) -> bool:
        if issubclass(kind, Enum):
            return self._holds_nan((value.value,))
        reader = self._values[kind]
        return reader is not None and self._holds_nan((reader(value),))


def _not_encodable(item: Any, error: Exception) -> ItemNotEncodable:
    kind = type(item).__qualname__
    if isinstance(error, ItemNotEncodable):
        return ItemNotEncodable(kind, error.path, error.culprit)
    if isinstance(error, RecursionError):
        return ItemNotEncodable(kind, "", TOO_DEEP)
    return ItemNotEncodable(kind, "", f"its code raised {type(error).__name__}")


def _reason(error: Exception) -> BaseException | None:
    """What the error is told to come from."""
    if isinstance(error, ItemNotEncodable):
        return error.__cause__
    return None if isinstance(error, RecursionError) else error
