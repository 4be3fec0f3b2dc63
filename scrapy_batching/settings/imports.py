"""Classes and functions that settings name by their import path."""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from scrapy_batching.items.blame import place_of
from scrapy_batching.settings.values import Unusable


def imported(path: str, *, example: str) -> Any:
    """What the path leads to; `dict` is the class. Raises Unusable with what is wrong, and a near guess or `example`."""
    if path == "dict":
        return dict
    module_path, dot, name = path.rpartition(".")
    if not dot or not all(part.isidentifier() for part in path.split(".")):
        raise Unusable(f"write an import path, as in {example!r}")
    try:
        module = import_module(module_path)
    except ImportError as error:
        raise Unusable(
            f"it cannot be imported ({error}): write the path from a directory that Python looks in"
        ) from None
    except Exception as error:  # the module's own code, which may do anything
        raise Unusable(f"importing {module_path} raised {type(error).__name__} {place_of(error)}") from error
    try:
        return getattr(module, name)
    except AttributeError:
        near = get_close_matches(name, [one for one in vars(module) if not one.startswith("_")], 1)
        guess = f"did you mean {module_path}.{near[0]}?" if near else "define it there, or write another path"
        raise Unusable(f"{module_path} has no {name}: {guess}") from None


def is_module(name: str) -> bool:
    """Whether Python finds a module of this name. A mere folder, which Python would take for one, does not count."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return False
    return spec is not None and spec.loader is not None and spec.origin is not None


def takes_an_item(function: Callable[..., Any]) -> str:
    """What is wrong with a function that is to be called with an item alone; empty if nothing is."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
        return "it is a coroutine, and nothing waits for an item: write it without `async`"
    try:
        inspect.signature(function).bind(object())
    except TypeError:
        return "it is called with the item alone: write it with one parameter"
    except ValueError:  # something in C that does not say what it takes
        return ""
    return ""
