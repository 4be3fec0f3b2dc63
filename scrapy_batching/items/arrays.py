"""numpy's scalars and arrays, told by their shape: numpy is not imported.

orjson could write them, but it cuts nanoseconds off, writes NaT in an array as 1970, and knows no float16.
"""

from datetime import timedelta
from typing import Any

from scrapy_batching.items.altered import MISSING, NO_TIME, Altered, NoForm
from scrapy_batching.items.times import duration, duration_of

_WHOLE = frozenset("biu")
_DOUBLE = 8


def of_numpy(value: Any) -> Any:
    """Numbers, texts, and lists and objects of them. Raises NoForm for what JSON cannot say, such as complex numbers."""
    if type(value).__name__ == "MaskedConstant":
        return Altered(None, MISSING)
    kind = value.dtype.kind
    is_masked = hasattr(value, "mask")
    if not is_masked and (kind in _WHOLE or (kind == "f" and value.dtype.itemsize == _DOUBLE)):
        return value.tolist()
    if value.ndim:
        return list(value)
    return _of_scalar(value[()], kind)


def _of_scalar(value: Any, kind: str) -> Any:
    match kind:
        case _ if type(value).__name__ == "MaskedConstant":
            return Altered(None, MISSING)
        case "f" if value.dtype.itemsize <= _DOUBLE:
            # The shortest text that means this number, as numpy itself shows it: 0.1, not 0.10000000149011612.
            return float(str(value))
        case "M":
            text = str(value)
            return Altered(None, NO_TIME) if text == "NaT" else text
        case "m":
            return _of_duration(value)
        case "V" if value.dtype.names is not None:
            return {name: value[name] for name in value.dtype.names}
        case "f" | "c":
            raise NoForm(f"a {type(value).__module__}.{type(value).__qualname__}")
    return value.tolist() if hasattr(value, "tolist") else value


def _of_duration(value: Any) -> Any:
    plain = value.tolist()
    if plain is None:
        return Altered(None, NO_TIME)
    if isinstance(plain, timedelta):
        return duration(plain)
    match value.dtype.str[1:]:
        case "m8[ns]":
            return duration_of(plain)
        case "m8[Y]":
            return f"{'-' if plain < 0 else ''}P{abs(plain)}Y"
        case "m8[M]":
            return f"{'-' if plain < 0 else ''}P{abs(plain)}M"
    raise NoForm(f"a numpy.timedelta64 of type {value.dtype.str[1:]}")
