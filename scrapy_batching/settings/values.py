"""One setting's value as it was written, in settings.py or as a text after `-s`, made into what the option holds."""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_MOST_SHOWN = 200


class Unusable(ValueError):
    """The value is none for this option; its text is the remedy."""


def shown(raw: Any) -> str:
    """A value for a message: one line, and not without end."""
    try:
        text = repr(raw)
    except Exception:  # a project's own class: its __repr__ must not hide the mistake
        text = f"a {type(raw).__qualname__}"
    text = " ".join(text.split())
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"


def yes_or_no(raw: Any) -> bool:
    """As Scrapy reads them: True and False, 1 and 0, and the same as texts."""
    words = {"True": True, "true": True, "1": True, "False": False, "false": False, "0": False}
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, int | str) and str(raw).strip() in words:
        return words[str(raw).strip()]
    raise Unusable("write True or False")


def whole(raw: Any) -> int:
    """A whole number; 2.5 is none, and neither is True, which `int()` would both take."""
    try:
        if isinstance(raw, bool) or int(raw) != float(raw):
            raise ValueError
        return int(raw)
    except (ValueError, TypeError, OverflowError):
        raise Unusable("write a whole number") from None


def number(raw: Any) -> float:
    """A number of seconds: every number with a point is one. It has an end, and is one."""
    try:
        if isinstance(raw, bool):
            raise ValueError
        seconds = float(raw)
    except (ValueError, TypeError, OverflowError):
        raise Unusable("write a number of seconds") from None
    if not math.isfinite(seconds):
        raise Unusable("write a number of seconds, not inf or nan")
    return seconds


def text(raw: Any) -> str:
    """A text without the blanks around it; a path is one too. Whatever else was meant, its `str()` was not."""
    if isinstance(raw, str | os.PathLike):
        try:
            return os.fsdecode(os.fspath(raw)).strip()
        except (TypeError, ValueError):
            pass
    raise Unusable("write a text")


def mapping(raw: Any) -> dict[Any, Any]:
    """A dict, or the text of a JSON object. A name that stands in it twice is a mistake: one of the two would be lost."""
    if isinstance(raw, str):
        try:
            raw = json.loads(raw, object_pairs_hook=_once)
        except Unusable:
            raise
        except (ValueError, RecursionError) as error:
            # Never the text, in which there may be a secret; json says where it stopped.
            place = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
            raise Unusable(f"this is no JSON{place}; write a JSON object") from None
        if not isinstance(raw, dict):
            raise Unusable("write a JSON object")
    if not isinstance(raw, Mapping):
        raise Unusable("write a dict")
    return dict(raw)


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Unusable("one name stands in it twice: write each once")
        found[name] = value
    return found


def anything(raw: Any) -> Any:
    """As it is; a text without the blanks around it."""
    return raw.strip() if isinstance(raw, str) else raw


READERS: dict[type, Callable[[Any], Any]] = {bool: yes_or_no, int: whole, float: number, str: text, dict: mapping}
