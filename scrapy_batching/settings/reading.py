"""The options as a crawler's settings have them: read in one function, refused all at once."""

from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from typing import Any

from scrapy.settings import BaseSettings

from scrapy_batching.errors import Mistake, SettingsRefused
from scrapy_batching.settings.checks import mistakes_in
from scrapy_batching.settings.filters import filter_in
from scrapy_batching.settings.options import OPTIONS, PREFIX, Settings
from scrapy_batching.settings.tables import tables_in
from scrapy_batching.settings.values import READERS, Unusable, anything, shown


def is_enabled(settings: BaseSettings) -> bool:
    """Whether the pipeline is to work; a value that is neither yes nor no is told by `read_settings`, not here."""
    raw = settings.get(f"{PREFIX}ENABLED")
    try:
        return raw is None or bool(READERS[bool](raw))
    except Unusable:
        return True


def read_settings(
    settings: BaseSettings, further: Callable[[Settings], Iterable[Mistake]] = lambda _options: ()
) -> Settings:
    """The options from a crawler's settings, checked: the tables' classes are imported, the filter is made.

    `further` finds mistakes that need more than the settings. Raises SettingsRefused (a ValueError) with every mistake: its
    setting, the value and the remedy.
    """
    values: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    for one in fields(Settings):
        raw = settings.get(PREFIX + one.name.upper())
        if raw is None:
            continue
        try:
            values[one.name] = _value(one, raw)
        except Unusable as error:
            mistakes.append(Mistake(PREFIX + one.name.upper(), shown(raw) if one.repr else "(not shown)", str(error)))
    if "tables" in values:
        values["tables"], wrong = tables_in(values["tables"])
        mistakes += wrong
    mistakes += _unknown(settings)
    options = Settings(**values)
    mistakes += mistakes_in(options, {mistake.setting for mistake in mistakes})
    told = {mistake.setting for mistake in mistakes}
    mistakes += [one for one in further(options) if one.setting not in told]
    if mistakes:
        raise SettingsRefused(mistakes)
    return options


def _value(one: Field[Any], raw: Any) -> Any:
    if one.name == "item_filter":
        return filter_in(anything(raw))
    kind: type = dict if one.default is MISSING else type(one.default)
    name = PREFIX + one.name.upper()
    try:
        value = READERS[kind](raw)
    except Unusable as error:
        example = one.metadata["example"] or repr(one.default)
        written = f"-s {name}='{example}'" if "JSON" in str(error) else f"{name} = {example}"
        raise Unusable(f"{error}, as in {written}") from None
    least = one.metadata["least"]
    if least is not None and value < least:
        raise Unusable(f"write {least} or more ({one.metadata['unit']})")
    return value


def _unknown(settings: BaseSettings) -> list[Mistake]:
    """Settings with our prefix that nobody reads: a typing error, or an option of another version."""
    known = {option.name.removeprefix(PREFIX): option for option in OPTIONS}
    ours = [name for name in map(str, settings) if name.startswith(PREFIX)]
    mistakes = []
    for name in ours:
        if name.removeprefix(PREFIX) in known:
            continue
        near = get_close_matches(name.removeprefix(PREFIX), known, 1)
        # Nobody knows what it holds: only what was surely not meant as a secret is shown.
        value = shown(settings.get(name)) if near and known[near[0]].is_shown else "(not shown)"
        remedy = f"did you mean {PREFIX}{near[0]}?" if near else "there is no such setting: remove it"
        mistakes.append(Mistake(name, value, remedy))
    return mistakes
