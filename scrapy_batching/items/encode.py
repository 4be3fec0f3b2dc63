"""An item becomes one line of JSON, once: as fast as orjson where it can, and faithfully where orjson cannot."""

import json
from collections.abc import Iterable, Mapping
from enum import Enum
from math import isfinite
from typing import Any, NoReturn

import orjson

from scrapy_batching.errors import ItemNotEncodable
from scrapy_batching.items.values import Reader, item_reader_of, reader_of

# Dataclasses go through `default` as well: see `_fields_reader`.
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS
_NON_STR_KEYS = orjson.OPT_NON_STR_KEYS
_NEVER_ALTERED = frozenset({str, int, bool, type(None)})


class Encoder:
    """Writes items. It learns each class once; one for each crawl."""

    def __init__(self) -> None:
        self._items: dict[type, Reader | None] = {}
        self._values: dict[type, Reader | None] = {}

    def __call__(self, item: Any) -> tuple[bytes, bool]:
        """The item as one JSON object without a line break, and whether NaN or an infinity in it became null.

        Raises ItemNotEncodable, and nothing else, whatever the item's own code does.
        """
        try:
            fields = item if type(item) is dict else self._fields(item)
            try:
                line = orjson.dumps(fields, default=self._simpler, option=_OPTIONS)
            except TypeError:
                # Every key that is not a text, integers beyond 64 bits, lone surrogates, depth: or it cannot be done.
                return self._slowly(fields)
            # orjson writes NaN as null without a word. Only a line with a null can have one, so few items pay for this.
            return line, b"null" in line and self._is_altered(fields.values())
        except ItemNotEncodable as error:
            raise ItemNotEncodable(type(item).__qualname__, error.path, error.culprit) from None
        except RecursionError:
            raise ItemNotEncodable(type(item).__qualname__, "", "it contains itself, or is nested too deep") from None
        except Exception as error:
            raise ItemNotEncodable(type(item).__qualname__, "", f"its code raised {type(error).__name__}") from error

    def _fields(self, item: Any) -> Any:
        cls = type(item)
        try:
            reader = self._items[cls]
        except KeyError:
            reader = self._items[cls] = item_reader_of(cls)
        if reader is None:
            _refuse("", "it is no item")
        return reader(item)

    def reader(self, cls: type) -> Reader | None:
        """How a value of this class is made simpler; None: orjson may know it, we do not."""
        try:
            return self._values[cls]
        except KeyError:
            reader = self._values[cls] = reader_of(cls)
            return reader

    def _simpler(self, value: Any) -> Any:
        """What orjson asks for a value that it does not know."""
        reader = self.reader(type(value))
        if reader is None:
            raise TypeError
        return reader(value)

    def _slowly(self, fields: Any) -> tuple[bytes, bool]:
        plain = _Plain(self)
        tree = plain.of(fields, "")
        text = json.dumps(tree, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        return text.encode(), plain.altered

    def _is_altered(self, values: Iterable[Any]) -> bool:
        """Whether NaN or an infinity is among the values, at any depth."""
        for value in values:
            kind = type(value)
            if kind in _NEVER_ALTERED:
                continue
            if kind is float:
                if not isfinite(value):
                    return True
            elif kind is list:
                if self._is_altered(value):
                    return True
            elif kind is dict:
                if self._is_altered(value.values()):
                    return True
            else:
                plain = _Plain(self)
                plain.of(value, "")
                if plain.altered:
                    return True
        return False


class _Plain:
    """Turns a value into what the standard json module writes, noting what had to be altered."""

    def __init__(self, encoder: Encoder) -> None:
        self._reader = encoder.reader
        self.altered = False

    def of(self, value: Any, path: str) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Enum):
            return self.of(value.value, path)
        if isinstance(value, float):
            return self._finite(float(value))
        # Subclasses have their own ideas of __repr__ and __str__, which json would ask.
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return self._whole(int(value), path)
        if isinstance(value, dict):
            return self._object(value, path)
        if isinstance(value, list | tuple):
            return [self.of(one, f"{path}[{index}]") for index, one in enumerate(value)]
        reader = self._reader(type(value))
        if reader is not None:
            simpler = reader(value)
            return self.of(dict(simpler) if isinstance(simpler, Mapping) else simpler, path)
        return self._as_orjson(value, path)

    def _finite(self, value: float) -> float | None:
        if isfinite(value):
            return value
        self.altered = True
        return None

    def _whole(self, value: int, path: str) -> int:
        try:
            str(value)
        except ValueError:  # more digits than sys.set_int_max_str_digits allows
            _refuse(path, "an integer with too many digits")
        return value

    def _object(self, value: dict[Any, Any], path: str) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, one in value.items():
            name = self._key(key, path)
            if name in plain:
                _refuse(path, "two keys that are written alike")
            plain[name] = self.of(one, f"{path}.{name}" if path else name)
        return plain

    def _key(self, key: Any, path: str) -> str:
        """A key as text: as orjson writes those that it knows, else as the value would be, where that is a text."""
        if isinstance(key, str) and not isinstance(key, Enum):
            return str.__str__(key)
        if isinstance(key, float):
            self._finite(key)
        try:
            (name,) = orjson.loads(orjson.dumps({key: None}, option=_NON_STR_KEYS))
        except TypeError:
            name = self.of(key, path)
        if isinstance(name, int):
            name = str(name)
        if not isinstance(name, str):
            _refuse(path, f"a key of type {type(key).__qualname__}")
        return name

    def _as_orjson(self, value: Any, path: str) -> Any:
        """UUID, numpy's scalars and whatever else orjson writes without asking."""
        try:
            return orjson.loads(orjson.dumps(value, option=_OPTIONS))
        except TypeError:
            _refuse(path, f"a {type(value).__module__}.{type(value).__qualname__}")


def _refuse(path: str, culprit: str) -> NoReturn:
    raise ItemNotEncodable("", path, culprit)
