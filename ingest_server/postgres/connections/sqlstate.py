"""Errors of PostgreSQL, asyncpg and the network, sorted once, here, by SQLSTATE.

    DATA            the database looked at the rows and said no      isolate, bury
    SHAPE           the table is no longer what we took it for       read the catalogue again, then as sorted anew
    TIME_LIMIT      a statement ran into its time limit              halve, never bury
    CONTENDED       this batch met a lock or lost a deadlock         the same batch again, then aside
    UNAVAILABLE     nobody can be served                             wait, retry for ever
    CONFIGURATION   the table cannot be written by anyone            aside, loud
    UNKNOWN         not listed: aside, loud, never buried

Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from enum import Enum, auto

import asyncpg


class Sort(Enum):
    """What an error calls for."""

    DATA = auto()
    SHAPE = auto()
    TIME_LIMIT = auto()
    CONTENDED = auto()
    UNAVAILABLE = auto()
    CONFIGURATION = auto()
    UNKNOWN = auto()


class EncodingFault(Exception):
    """A value that could not be put into its column's type. `position` is its row's, from 0; `column` where it is known."""

    def __init__(self, position: int, cause: BaseException, column: str | None = None) -> None:
        self.position = position
        self.cause = cause
        self.column = column
        super().__init__(f"{type(cause).__name__}: {cause}")


_CODES = {
    # Binary COPY with yesterday's column types, or a column or table that has gone.
    "22P03": Sort.SHAPE,
    "08P01": Sort.SHAPE,
    "0A000": Sort.SHAPE,
    "42703": Sort.SHAPE,
    "42P01": Sort.SHAPE,
    # A sequence at its end refuses every item, whatever is in it: as class 22 it would bury the whole crawl.
    "2200H": Sort.CONFIGURATION,
    # statement_timeout and an operator's pg_cancel_backend() share one code.
    "57014": Sort.TIME_LIMIT,
    "55P03": Sort.CONTENDED,
    "55006": Sort.CONTENDED,
    # Said of tables (a deferrable key in ON CONFLICT), not of a server that is away as the rest of class 55.
    "55000": Sort.CONFIGURATION,
    "25006": Sort.UNAVAILABLE,
    # idle_in_transaction_session_timeout and transaction_timeout end the connection: only this batch was slow.
    "25P03": Sort.CONTENDED,
    "25P04": Sort.CONTENDED,
}

_CLASSES = {
    "22": Sort.DATA,
    "23": Sort.DATA,
    "21": Sort.DATA,
    "44": Sort.DATA,
    "54": Sort.DATA,
    "P0": Sort.DATA,
    "40": Sort.CONTENDED,
    "08": Sort.UNAVAILABLE,
    "53": Sort.UNAVAILABLE,
    "55": Sort.UNAVAILABLE,
    "57": Sort.UNAVAILABLE,
    "42": Sort.CONFIGURATION,
    "28": Sort.CONFIGURATION,
    "3D": Sort.CONFIGURATION,
    "3F": Sort.CONFIGURATION,
}

# BEGIN … READ WRITE on a standby is 0A000, as a shape that changed is, and not 25006: PostgreSQL's function tells.
_CHECKS_READ_WRITE = "call_bool_check_hook"
# A Citus coordinator says XX000 for a worker that is away, in these words.
_CITUS_AWAY = ("connection to the remote node", "could not connect to", "failed to connect to")

# PL/pgSQL's RAISE, and a row-level security policy's or a view's WITH CHECK, by PostgreSQL's own functions that say it:
# no configuration and no outage, whatever the code.
_POLICY = "ExecWithCheckOptions"
_RAISES = frozenset({"exec_stmt_raise", _POLICY})


def sort_error(error: BaseException) -> Sort:
    """What this error calls for. Never raises."""
    code = getattr(error, "sqlstate", None)
    if isinstance(code, str):
        if code == "XX000" and any(words in str(error).lower() for words in _CITUS_AWAY):
            return Sort.UNAVAILABLE
        if code == "0A000" and getattr(error, "server_source_function", None) == _CHECKS_READ_WRITE:
            return Sort.UNAVAILABLE
        sort = _CODES.get(code) or _CLASSES.get(code[:2], Sort.UNKNOWN)
        return _sort_raised(sort) if is_raised(error) else sort
    return _sort_without_code(error)


def is_raised(error: BaseException) -> bool:
    """Whether a function or a policy of the table's owner refused the row: RAISE may use any code, an outage's too."""
    return getattr(error, "server_source_function", None) in _RAISES


def is_of_a_policy(error: BaseException) -> bool:
    """Whether a row-level security policy refused the row: of a privilege that is missing the code is the same."""
    return getattr(error, "server_source_function", None) == _POLICY


def _sort_raised(sort: Sort) -> Sort:
    """Only a code that says "try again" is no refusal; it holds up this batch and nobody else."""
    return Sort.CONTENDED if sort in (Sort.CONTENDED, Sort.UNAVAILABLE, Sort.TIME_LIMIT) else Sort.DATA


def _sort_without_code(error: BaseException) -> Sort:
    match error:
        case EncodingFault():
            return Sort.DATA
        case asyncpg.OutdatedSchemaCacheError():
            return Sort.SHAPE
        case asyncpg.UnsupportedClientFeatureError():
            return Sort.CONFIGURATION
        case OSError() | EOFError():
            return Sort.UNAVAILABLE
        # A wrong argument is a mistake of ours. Bare TypeErrors and ValueErrors are, too: taken for data they would bury
        # items that nobody looked at. What a row's value provokes comes as EncodingFault.
        case ValueError():
            return Sort.UNKNOWN
        # A closed connection or pool is an InterfaceError.
        case asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return Sort.UNAVAILABLE
    return Sort.UNKNOWN


def described(error: BaseException) -> str:
    """The error in words that hold no item's content: its name and SQLSTATE, and what the server names of the schema."""
    code = getattr(error, "sqlstate", None)
    words = [type(error).__name__ if code is None else f"{code} {type(error).__name__.removesuffix('Error')}"]
    for attribute in ("schema_name", "table_name", "column_name", "constraint_name", "data_type_name"):
        value = getattr(error, attribute, None)
        if value:
            words.append(f"{attribute.removesuffix('_name')} {value}")
    if code is not None and _CLASSES.get(str(code)[:2]) is not Sort.DATA and not is_raised(error):
        words.append(str(error).split("\n", 1)[0])
    elif code is None and isinstance(error, OSError | asyncpg.InterfaceError):
        words.append(str(error))
    return ", ".join(word for word in words if word)
