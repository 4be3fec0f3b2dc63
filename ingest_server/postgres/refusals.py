"""What PostgreSQL said of a row, as a refusal that names reason and column and keeps the content to itself."""

import re

from ingest_server.model import Refusal
from ingest_server.postgres.sqlstate import EncodingFault

INVALID = "invalid"
NULL_REFUSED = "is null, but the column is NOT NULL"

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
_NO_PARTITION = "no partition of the table takes it"


class RefusedError(Exception):
    """The item cannot be stored, for a reason that neither pydantic nor PostgreSQL was asked for."""

    def __init__(self, message: str, column: str | None = None, detail: str | None = None) -> None:
        self.message = message
        self.column = column
        self.detail = detail
        super().__init__(message)


def refusal_from(error: BaseException, index: int) -> Refusal:
    """The refusal of item `index` for this error. `detail` carries PostgreSQL's own words for the dead letter."""
    if isinstance(error, EncodingFault):
        return Refusal(index, INVALID, "a value does not fit its column's type", detail=str(error))
    code = str(getattr(error, "sqlstate", None) or INVALID)
    column = getattr(error, "column_name", None) or _copy_column(error)
    constraint = getattr(error, "constraint_name", None)
    sentence = _SENTENCES.get(code, f"was refused by PostgreSQL ({type(error).__name__.removesuffix('Error')})")
    if code == "23514" and not constraint and not getattr(error, "data_type_name", None):
        sentence = _NO_PARTITION
    return Refusal(
        index=index,
        code=code,
        column=column,
        message=f"{sentence}: {constraint}" if constraint else sentence,
        detail=str(error),
    )


def copy_position(error: BaseException, copied: str) -> int | None:
    """Which row of a COPY into the table `copied` was stumbled over, from 0, where the error says so."""
    if isinstance(error, EncodingFault):
        return error.position
    # From a line's start and with the table's name: the context of a trigger's error may quote anything.
    match = re.search(rf"^COPY {re.escape(copied)}, line (\d+)", _context(error), re.MULTILINE)
    return int(match[1]) - 1 if match else None


def _copy_column(error: BaseException) -> str | None:
    match = re.search(r"^COPY [^\n]*, line \d+, column ([^\n]+)$", _context(error), re.MULTILINE)
    return match[1] if match else None


def _context(error: BaseException) -> str:
    return getattr(error, "context", None) or ""
