"""The slow way: a value becomes what any JSON encoder writes, and every place in it has a name."""

from collections.abc import Callable, Mapping
from enum import Enum
from json import dumps
from math import isfinite
from typing import Any, ClassVar, NoReturn

from scrapy_batching.errors import ItemNotEncodable
from scrapy_batching.items.altered import NOT_FINITE, Altered, NoForm
from scrapy_batching.items.fields import Reader

TOO_DEEP = "it contains itself, or is nested too deep"
"""Where Python's own limit was hit first, in an item's own code: which of the two is not known, nor where."""
MOST_DEPTH = 300
"""More levels are refused. orjson writes 254, the server's tables take 100."""

_Path = tuple[Any, str] | None


class Plain:
    """Makes one value plain; `causes` gathers what had to be altered. `reader_of` knows each class."""

    def __init__(self, reader_of: Callable[[type], Reader | None], causes: set[str]) -> None:
        self._reader_of = reader_of
        self._causes = causes
        self._inside: list[tuple[int, _Path]] = []
        """What the value is inside of, from the outermost on, each with its place."""

    def of(self, value: Any, path: _Path = None, depth: int = 0) -> Any:
        """None, bool, int, finite float, str, and lists and dicts of them. Raises ItemNotEncodable, with the place."""
        cls = type(value)
        for kind, write in self._writers:
            if issubclass(cls, kind):
                return write(self, value, path, depth)
        reader = self._reader_of(cls)
        if reader is None:
            _refuse(path, f"a {cls.__module__}.{cls.__qualname__}")
        try:
            simpler = reader(value)
        except NoForm as error:
            _refuse(path, error.culprit)
        except RecursionError:
            _refuse(path, TOO_DEEP)
        except Exception as error:
            raise ItemNotEncodable("", _text(path), f"its code raised {type(error).__name__}") from error
        if type(simpler) is Altered:
            self._causes.add(simpler.cause)
            simpler = simpler.value
        if isinstance(simpler, Mapping) and not isinstance(simpler, dict):
            simpler = dict(simpler)
        self._inside.append((id(value), path))
        plain = self.of(simpler, path, depth)
        self._inside.pop()
        return plain

    def _same(self, value: Any, _path: _Path, _depth: int) -> Any:
        return value

    def _enum(self, value: Enum, path: _Path, depth: int) -> Any:
        return self.of(value.value, path, depth)

    def _float(self, value: float, _path: _Path, _depth: int) -> float | None:
        plain = float.__float__(value)
        if isfinite(plain):
            return plain
        self._causes.add(NOT_FINITE)
        return None

    # Subclasses have their own ideas of __str__, __int__ and items, which json would ask and orjson does not.
    def _text(self, value: str, _path: _Path, _depth: int) -> str:
        return str.__str__(value)

    def _whole(self, value: int, path: _Path, _depth: int) -> int:
        plain = int.__int__(value)
        try:
            str(plain)
        except ValueError:  # more digits than sys.set_int_max_str_digits allows
            _refuse(path, "an integer with too many digits")
        return plain

    def _array(self, value: Any, path: _Path, depth: int) -> list[Any]:
        self._enter(value, path, depth)
        ones = list.__iter__(value) if isinstance(value, list) else tuple.__iter__(value)
        plain = []
        for index, one in enumerate(ones):
            plain.append(self.of(one, (path, f"[{index}]"), depth + 1))
        self._inside.pop()
        return plain

    def _object(self, value: dict[Any, Any], path: _Path, depth: int) -> dict[str, Any]:
        self._enter(value, path, depth)
        plain: dict[str, Any] = {}
        for key, one in dict.items(value):
            name = key if type(key) is str else self._name(key, path)
            if name in plain:
                _refuse((path, f".{name}"), "two keys that are written alike")
            plain[name] = self.of(one, (path, f".{name}"), depth + 1)
        self._inside.pop()
        return plain

    def _enter(self, value: Any, path: _Path, depth: int) -> None:
        """One level down; too far down it is looked for what contains itself. Left by a pop, and never after an error."""
        self._inside.append((id(value), path))
        if depth >= MOST_DEPTH:
            seen: set[int] = set()
            for one, place in self._inside:
                if one in seen:
                    _refuse(place, "it contains itself")
                seen.add(one)
            _refuse(path, f"nested too deep, with more than {MOST_DEPTH} levels,")

    def _name(self, key: Any, path: _Path) -> str:
        """A key as text: what the value is written as, without quotes."""
        plain = self.of(key, path)
        if isinstance(plain, str):
            return plain
        if isinstance(plain, list | dict):
            _refuse(path, f"a key of type {type(key).__qualname__}")
        return dumps(plain)

    # The order is orjson's: an Enum that is a text too is that text.
    _writers: ClassVar[tuple[tuple[type | tuple[type, ...], Callable[..., Any]], ...]] = (
        ((bool, type(None)), _same),
        (str, _text),
        (int, _whole),
        (dict, _object),
        (list, _array),
        (Enum, _enum),
        (float, _float),
        (tuple, _array),
    )


def _text(path: _Path) -> str:
    parts = []
    while path is not None:
        path, part = path
        parts.append(part)
    return "".join(reversed(parts)).removeprefix(".")


def _refuse(path: _Path, culprit: str) -> NoReturn:
    raise ItemNotEncodable("", _text(path), culprit)
