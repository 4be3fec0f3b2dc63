"""What is wrong with a setting, under the name and with the value that somebody wrote: flag, variable or file."""

import os
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ingest_server.settings.names import PREFIX, environment_name, flag_name, option_name

# Settings whose value is a secret, or may hold one.
_SECRET = ("database", "token", "tokens")


def mistake(
    error: Any,
    flags: Mapping[str, Any],
    file: Path,
    settings: type[BaseModel],
    inner_models: Mapping[str, type[BaseModel]],
) -> str:
    """One of pydantic's errors in the user's words. `inner_models` tells what a `[name.X]` section of the file may hold."""
    option, *inner = (str(part) for part in error["loc"])
    option = option_name(option)
    dotted = ".".join((option, *inner))
    value = "(not shown)" if option in _SECRET else str(error["input"])[:_MOST_SHOWN]
    what = _WORDS.get(error["type"], error["msg"].removeprefix("Input should be ").removeprefix("Value error, "))
    if "ctx" in error and error["type"] in _BOUNDS:
        what = f"write a number {_BOUNDS[error['type']]} {next(iter(error['ctx'].values()))}"
    if error["type"] == "extra_forbidden":
        names = inner_models[option].model_fields if inner else settings.model_fields
        return f"{dotted} in {file}: {_no_such(inner[-1] if inner else option, names)}"
    if error["type"] == "string_pattern_mismatch":
        what = f"write {next(one.description for name, one in settings.model_fields.items() if option_name(name) == option)}"
    variable = environment_name(option)
    if option in flags:
        return f"{flag_name(option)} {value}: {what}"
    if any(name.upper() == variable for name in os.environ):
        return f"{variable}={value}: {what}"
    return f"{dotted} = {value} in {file}: {what}"


_MOST_SHOWN = 80
_WORDS = {
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_parsing": "write a number",
    "float_type": "write a number",
    "bool_parsing": "write on or off",
    "bool_type": "write on or off",
}
_BOUNDS = {
    "greater_than": "above",
    "greater_than_equal": "that is at least",
    "less_than": "below",
    "less_than_equal": "that is at most",
}


def unknown_variables(settings: type[BaseModel]) -> list[str]:
    """Variables with our prefix that nobody reads: a typing error, or a setting of another version."""
    known = {option_name(name) for name in settings.model_fields} | {"config"}
    ours = sorted(name for name in os.environ if name.upper().startswith(PREFIX))
    return [
        f"{name}: {_no_such(name[len(PREFIX) :].lower(), known, environment_name)}"
        for name in ours
        if name[len(PREFIX) :].lower() not in known
    ]


def _no_such(name: str, known: Iterable[str], shown: Callable[[str], str] = str) -> str:
    near = get_close_matches(name, sorted(option_name(one) for one in known), 1)
    return f"there is no such setting, did you mean {shown(near[0])}?" if near else "there is no such setting"
