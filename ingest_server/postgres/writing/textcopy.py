"""Rows as COPY's text format: for types of which only the input function is known, binary COPY has no form.

https://www.postgresql.org/docs/current/sql-copy.html (File Formats), and arrays' own:
https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
"""

import struct
from collections.abc import Callable, Iterable
from datetime import timedelta
from enum import Enum
from typing import Any

from ingest_server.postgres.writing.rows import Row

_ESCAPED = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_QUOTED = str.maketrans({"\\": "\\\\", '"': '\\"'})
_NULL = "\\N"
# Its input function refuses what is too near to 0, which binary COPY makes 0.
_FLOAT4 = struct.Struct("f")
# All kinds but box, whose own text has commas: https://www.postgresql.org/docs/current/catalog-pg-type.html (typdelim)
_DELIMITER, _BOXES = ",", ";"


def text_rows(rows: Iterable[Row], kinds: tuple[str, ...]) -> Iterable[bytes]:
    """Each row as one line, UTF-8; `kinds` are its columns'."""
    for row in rows:
        line = "\t".join(
            _NULL if value is None else _text(value, kind).translate(_ESCAPED)
            for value, kind in zip(row, kinds, strict=True)
        )
        yield f"{line}\n".encode()


def _text(value: Any, kind: str) -> str:
    """A value as its type's input function takes it."""
    if isinstance(value, list):
        return "{" + (_BOXES if kind == "box" else _DELIMITER).join(_element(part, kind) for part in value) + "}"
    if kind == "float4" and isinstance(value, float):
        return repr(_FLOAT4.unpack(_FLOAT4.pack(value))[0])
    form = _FORMS.get(type(value))
    if form is not None:
        return form(value)
    return _text(value.value, kind) if isinstance(value, Enum) else str(value)


def _element(value: Any, kind: str) -> str:
    if value is None:
        return "NULL"
    text = _text(value, kind)
    return text if isinstance(value, list) else f'"{text.translate(_QUOTED)}"'


def _interval(value: timedelta) -> str:
    return f"{value.days} days +{value.seconds}.{value.microseconds:06} seconds"


_FORMS: dict[type, Callable[[Any], str]] = {
    str: lambda value: value,
    bytes: lambda value: f"\\x{value.hex()}",
    bool: lambda value: "t" if value else "f",
    float: repr,
    timedelta: _interval,
}
