"""What PostgreSQL said of a row, as a refusal that names reason and column and keeps the content to itself."""

import re

from ingest_server.model import Refusal

_COPY_LINE = re.compile(r"COPY [^\n]*, line (\d+)")
_COPY_COLUMN = re.compile(r"COPY [^\n]*, line \d+, column ([^:\n]+)")

_SENTENCES = {
    "23502": "a value is missing in a column that is NOT NULL",
    "23503": "violates a foreign key: the row that it refers to is not there",
    "23505": "violates a unique constraint: such a row is there already",
    "23514": "violates a check constraint",
    "23P01": "violates an exclusion constraint",
    "22001": "is longer than the column allows",
    "22003": "is a number out of the column's range",
    "22007": "is not a date or time that the column takes",
    "22008": "is a date or time out of range",
    "22021": "holds a character that the database cannot store (NUL)",
    "22P02": "is not in the form that the column's type needs",
    "22P05": "holds a character that jsonb cannot store (\\u0000)",
    "54000": "is larger than one row may be",
    "P0001": "was refused by a trigger or a function of the database",
}


def refusal_from(error: BaseException, index: int) -> Refusal:
    """The refusal of item `index` for this error. `detail` carries PostgreSQL's own words for the dead letter."""
    code = str(getattr(error, "sqlstate", None) or "invalid")
    column = getattr(error, "column_name", None)
    if column is None and (match := _COPY_COLUMN.search(getattr(error, "context", None) or "")):
        column = match[1]
    constraint = getattr(error, "constraint_name", None)
    sentence = _SENTENCES.get(code, f"was refused by PostgreSQL ({type(error).__name__.removesuffix('Error')})")
    return Refusal(
        index=index,
        code=code,
        column=column,
        message=f"{sentence}: {constraint}" if constraint else sentence,
        detail=str(error),
    )


def copy_line(error: BaseException) -> int | None:
    """Which row of a COPY the server stumbled over, from 0, where it says so."""
    match = _COPY_LINE.search(getattr(error, "context", None) or "")
    return int(match[1]) - 1 if match else None
