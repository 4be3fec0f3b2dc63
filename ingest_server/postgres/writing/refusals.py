"""What PostgreSQL said of a row, as a refusal that names reason and column and keeps the content to itself."""

import re
from collections.abc import Mapping
from dataclasses import replace

from ingest_server.model import Refusal, TableSpec
from ingest_server.postgres.connections.sqlstate import EncodingFault, is_of_a_policy, is_raised
from ingest_server.postgres.tables.catalogue import Connection
from ingest_server.postgres.writing.rules import Rule, columns_of

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
_BY_POLICY = "was refused by a row-level security policy of the table"
_NO_PARTITION = "no partition of the table takes it"


class RefusedError(Exception):
    """The item cannot be stored, for a reason that neither pydantic nor PostgreSQL was asked for."""

    def __init__(self, message: str, column: str | None = None, detail: str | None = None) -> None:
        self.message = message
        self.column = column
        self.detail = detail
        super().__init__(message)


async def refusals_from(one: Connection, spec: TableSpec, errors: Mapping[int, Exception]) -> dict[int, Refusal]:
    """The refusals of items of this table by their indexes; columns that the errors do not name as the catalogue has them."""
    names = {column.name for column in spec.columns}
    refusals = {index: refusal_from(error, index) for index, error in errors.items()}
    for index, error in errors.items():
        if (
            is_raised(error) and refusals[index].column not in names
        ):  # who wrote the function may have put anything there
            refusals[index] = replace(refusals[index], column=None)
    rules = {
        index: rule for index, error in errors.items() if refusals[index].column is None and (rule := _rule(error))
    }
    if rules:
        columns = await columns_of(one, spec, sorted(set(rules.values())))
        refusals |= {index: replace(refusals[index], column=columns.get(rule)) for index, rule in rules.items()}
    return refusals


def refusal_from(error: BaseException, index: int) -> Refusal:
    """The refusal of item `index` for this error. `detail` carries PostgreSQL's own words for the dead letter."""
    if isinstance(error, EncodingFault):
        return Refusal(index, INVALID, "a value does not fit its column's type", error.column, detail=str(error))
    code = str(getattr(error, "sqlstate", None) or INVALID)
    column = getattr(error, "column_name", None) or copy_column(error)
    return Refusal(index=index, code=code, column=column, message=_sentence(error, code), detail=str(error))


def _sentence(error: BaseException, code: str) -> str:
    if is_raised(error):  # what else the author of the function put into it may be the item's content
        return _BY_POLICY if is_of_a_policy(error) else _SENTENCES["P0001"]
    sentence = _SENTENCES.get(code, f"was refused by PostgreSQL ({type(error).__name__.removesuffix('Error')})")
    constraint = getattr(error, "constraint_name", None)
    if constraint:
        return f"{sentence}: {constraint}"
    if code == "23514" and not getattr(error, "data_type_name", None):
        return _NO_PARTITION
    return sentence


def _rule(error: BaseException) -> Rule | None:
    """The constraint, index or domain that the error names."""
    names = [getattr(error, f"{part}_name", None) or "" for part in ("schema", "table", "constraint", "data_type")]
    return None if is_raised(error) or not (names[2] or names[3]) else Rule(*names)


def copy_position(error: BaseException, copied: str) -> int | None:
    """Which row of a COPY into the table `copied` was stumbled over, from 0, where the error says so."""
    if isinstance(error, EncodingFault):
        return error.position
    # From a line's start and with the table's name: the context of a trigger's error may quote anything.
    match = re.search(rf"^COPY {re.escape(copied)}, line (\d+)", _context(error), re.MULTILINE)
    return int(match[1]) - 1 if match else None


def copy_column(error: BaseException) -> str | None:
    """The column at which a COPY stumbled, where the error says so. In text COPY the value follows, which is not shown."""
    match = re.search(
        r'^COPY [^\n]*?, line \d+, column ([^\n]+?)(?:: (?:"[^\n]*|null input))?$', _context(error), re.MULTILINE
    )
    return match[1] if match else None


def _context(error: BaseException) -> str:
    return getattr(error, "context", None) or ""
