"""A place in the order of dead letters, as a cursor; and a column's name as a filter."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from ingest_server.api.answers import uuid_of
from ingest_server.errors import BadRequest
from ingest_server.model import NAME_BYTES, DeadLetter

# Without NUL and lone surrogates, which no name can hold.
_COLUMN = re.compile(rf"[^\x00\ud800-\udfff]{{0,{NAME_BYTES}}}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PLACE = "-?[0-9]{1,18}[.][0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

Place = tuple[datetime, UUID]
"""A letter's `created_at` and `id`."""
FIRST: Place = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
"""Before the oldest letter."""
_LAST = datetime.max.replace(tzinfo=UTC)
PLACE: dict[str, Any] = {"type": "string", "pattern": f"^{_PLACE}$"}
COLUMN: dict[str, Any] = {"type": "string", "maxLength": NAME_BYTES, "pattern": r"^[^\u0000]*$"}


def place_after(letter: DeadLetter) -> str:
    """The cursor that goes on behind this letter; it holds when the letter has gone."""
    return shown((letter.created_at, letter.id))


def shown(place: Place) -> str:
    """The place as a cursor."""
    created_at, letter = place
    return f"{(created_at - _EPOCH) // _MICROSECOND}.{letter}"


def place_of(cursor: str | None) -> Place | None:
    """The place that a cursor names. Raises `BadRequest`."""
    if cursor is None:
        return None
    microseconds, _, name = cursor.partition(".")
    letter = uuid_of(name)
    digits = microseconds.removeprefix("-")
    if letter is None or not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise BadRequest("cursor is what an earlier page gave")
    try:
        return _EPOCH + int(microseconds) * _MICROSECOND, letter
    except OverflowError:  # before the first letter there can be, or after the last
        return FIRST[0] if microseconds.startswith("-") else _LAST, letter


def check_column(column: str | None) -> str | None:
    """The filter by column: a name, or nothing for those that name none. Raises `BadRequest` for what no column is called."""
    if column is not None and not _COLUMN.fullmatch(column):
        raise BadRequest("column is a column's name, or empty")
    return column
