"""The options as a crawler's settings have them: read in one function, refused all at once."""

import math
from collections.abc import Callable
from dataclasses import MISSING, fields
from difflib import get_close_matches
from typing import Any

from scrapy.settings import BaseSettings

from scrapy_batching.errors import Mistake, SettingsRefused
from scrapy_batching.settings.checks import mistakes_in
from scrapy_batching.settings.options import OPTIONS, PREFIX, Settings


def read_settings(settings: BaseSettings) -> Settings:
    """The options from a crawler's settings, checked.

    Raises SettingsRefused (a ValueError) with every mistake: its setting, the value and the remedy.
    """
    getters: dict[type, Callable[[str], Any]] = {
        bool: settings.getbool,
        int: lambda name: _whole(settings.get(name)),
        float: settings.getfloat,
        dict: lambda name: dict(settings.getdict(name)),
    }
    values: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    for one in fields(Settings):
        name = PREFIX + one.name.upper()
        raw = settings.get(name)
        if raw is None:
            continue
        kind: type = dict if one.default is MISSING else type(one.default)
        shown = repr(raw) if one.repr else "(not shown)"
        try:
            value: Any = getters[kind](name) if kind in getters else _text(raw)
        except (ValueError, TypeError, OverflowError):
            mistakes.append(Mistake(name, shown, f"write {_KINDS[kind]}, as in {name} = {_example(one.default)!r}"))
            continue
        least = one.metadata["least"]
        if least is not None and not (least <= value < math.inf):
            mistakes.append(Mistake(name, shown, f"write {least} or more ({one.metadata['unit']})"))
        values[one.name] = value
    mistakes += _unknown(settings)
    options = Settings(**values)
    mistakes += mistakes_in(options, {mistake.setting for mistake in mistakes})
    if mistakes:
        raise SettingsRefused(mistakes)
    return options


def _unknown(settings: BaseSettings) -> list[Mistake]:
    """Settings with our prefix that nobody reads: a typing error, or an option of another version."""
    known = [option.name.removeprefix(PREFIX) for option in OPTIONS]
    ours = [name for name in map(str, settings) if name.startswith(PREFIX)]
    unknown = [name for name in ours if name.removeprefix(PREFIX) not in known]
    near = {name: get_close_matches(name.removeprefix(PREFIX), known, 1) for name in unknown}
    return [
        Mistake(
            name,
            repr(settings.get(name)),
            f"did you mean {PREFIX}{near[name][0]}?" if near[name] else "there is no such option",
        )
        for name in unknown
    ]


_KINDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text", dict: "a dict"}


def _example(default: Any) -> Any:
    return {"name": "value"} if default is MISSING else default


def _whole(raw: Any) -> int:
    """`raw` as an int; `int()` alone would cut 2.5 to 2 without a word."""
    value = int(raw)
    if isinstance(raw, float) and raw != value:
        raise ValueError(raw)
    return value


def _text(raw: Any) -> Any:
    """A text without the blanks around it; a class, where one may be written, as it is."""
    return raw if isinstance(raw, type) else str(raw).strip()
