"""DESIGN.md's table of errors, row by row, over asyncpg's own exception classes."""

import ssl

import asyncpg
import pytest

from ingest_server.errors import Contended, Misconfigured, Unavailable
from ingest_server.postgres.connections.pool import translate
from ingest_server.postgres.connections.sqlstate import EncodingFault, Sort, described, sort_error

TABLE = [
    # isolate and bury
    (asyncpg.DataError, Sort.DATA),
    (asyncpg.StringDataRightTruncationError, Sort.DATA),
    (asyncpg.NumericValueOutOfRangeError, Sort.DATA),
    (asyncpg.InvalidDatetimeFormatError, Sort.DATA),
    (asyncpg.DatetimeFieldOverflowError, Sort.DATA),
    (asyncpg.CharacterNotInRepertoireError, Sort.DATA),
    (asyncpg.InvalidTextRepresentationError, Sort.DATA),
    (asyncpg.UntranslatableCharacterError, Sort.DATA),
    (asyncpg.DivisionByZeroError, Sort.DATA),
    (asyncpg.IntegrityConstraintViolationError, Sort.DATA),
    (asyncpg.NotNullViolationError, Sort.DATA),
    (asyncpg.ForeignKeyViolationError, Sort.DATA),
    (asyncpg.UniqueViolationError, Sort.DATA),
    (asyncpg.CheckViolationError, Sort.DATA),
    (asyncpg.ExclusionViolationError, Sort.DATA),
    (asyncpg.CardinalityViolationError, Sort.DATA),
    (asyncpg.WithCheckOptionViolationError, Sort.DATA),
    (asyncpg.ProgramLimitExceededError, Sort.DATA),
    (asyncpg.RaiseError, Sort.DATA),
    (asyncpg.PLPGSQLError, Sort.DATA),
    # a sequence at its end refuses everybody's items
    (asyncpg.SequenceGeneratorLimitExceededError, Sort.CONFIGURATION),
    # the shape is read again first
    (asyncpg.InvalidBinaryRepresentationError, Sort.SHAPE),
    (asyncpg.ProtocolViolationError, Sort.SHAPE),
    (asyncpg.FeatureNotSupportedError, Sort.SHAPE),
    (asyncpg.InvalidCachedStatementError, Sort.SHAPE),
    (asyncpg.UndefinedColumnError, Sort.SHAPE),
    (asyncpg.UndefinedTableError, Sort.SHAPE),
    # halve, never bury
    (asyncpg.QueryCanceledError, Sort.TIME_LIMIT),
    # the same batch again, then aside
    (asyncpg.LockNotAvailableError, Sort.CONTENDED),
    (asyncpg.ObjectInUseError, Sort.CONTENDED),
    (asyncpg.DeadlockDetectedError, Sort.CONTENDED),
    (asyncpg.SerializationError, Sort.CONTENDED),
    (asyncpg.StatementCompletionUnknownError, Sort.CONTENDED),
    (asyncpg.IdleInTransactionSessionTimeoutError, Sort.CONTENDED),
    # wait, retry for ever
    (asyncpg.PostgresConnectionError, Sort.UNAVAILABLE),
    (asyncpg.ConnectionDoesNotExistError, Sort.UNAVAILABLE),
    (asyncpg.ConnectionFailureError, Sort.UNAVAILABLE),
    (asyncpg.ClientCannotConnectError, Sort.UNAVAILABLE),
    (asyncpg.ConnectionRejectionError, Sort.UNAVAILABLE),
    (asyncpg.InsufficientResourcesError, Sort.UNAVAILABLE),
    (asyncpg.DiskFullError, Sort.UNAVAILABLE),
    (asyncpg.OutOfMemoryError, Sort.UNAVAILABLE),
    (asyncpg.TooManyConnectionsError, Sort.UNAVAILABLE),
    (asyncpg.AdminShutdownError, Sort.UNAVAILABLE),
    (asyncpg.CrashShutdownError, Sort.UNAVAILABLE),
    (asyncpg.CannotConnectNowError, Sort.UNAVAILABLE),
    (asyncpg.ReadOnlySQLTransactionError, Sort.UNAVAILABLE),
    (asyncpg.CantChangeRuntimeParamError, Sort.UNAVAILABLE),
    # the table is parked
    (asyncpg.ObjectNotInPrerequisiteStateError, Sort.CONFIGURATION),
    (asyncpg.InsufficientPrivilegeError, Sort.CONFIGURATION),
    (asyncpg.InvalidColumnReferenceError, Sort.CONFIGURATION),
    (asyncpg.DatatypeMismatchError, Sort.CONFIGURATION),
    (asyncpg.InvalidPasswordError, Sort.CONFIGURATION),
    (asyncpg.InvalidAuthorizationSpecificationError, Sort.CONFIGURATION),
    (asyncpg.InvalidCatalogNameError, Sort.CONFIGURATION),
    (asyncpg.InvalidSchemaNameError, Sort.CONFIGURATION),
    # not listed: aside, loud, never buried
    (asyncpg.InternalServerError, Sort.UNKNOWN),
    (asyncpg.DataCorruptedError, Sort.UNKNOWN),
    (asyncpg.PostgresIOError, Sort.UNKNOWN),
    (asyncpg.FDWError, Sort.UNKNOWN),
    (asyncpg.InFailedSQLTransactionError, Sort.UNKNOWN),
    (asyncpg.ExternalRoutineError, Sort.UNKNOWN),
]


@pytest.mark.parametrize(("kind", "sort"), TABLE, ids=lambda value: getattr(value, "__name__", str(value)))
def test_each_sqlstate_is_sorted(kind: type[asyncpg.PostgresError], sort: Sort) -> None:
    assert sort_error(kind("words")) is sort


def test_every_class_of_asyncpg_has_a_sort() -> None:
    known = [kind for kind in vars(asyncpg.exceptions).values() if isinstance(kind, type)]
    kinds = [kind for kind in known if issubclass(kind, asyncpg.PostgresError)]
    assert len(kinds) > 200
    for kind in kinds:
        assert isinstance(sort_error(kind("words")), Sort)


@pytest.mark.parametrize(
    ("error", "sort"),
    [
        (ConnectionRefusedError(), Sort.UNAVAILABLE),
        (ConnectionResetError(), Sort.UNAVAILABLE),
        (FileNotFoundError(), Sort.UNAVAILABLE),  # a Unix socket's
        (TimeoutError(), Sort.UNAVAILABLE),
        (ssl.SSLCertVerificationError(), Sort.UNAVAILABLE),  # an OSError and a ValueError
        (EOFError(), Sort.UNAVAILABLE),
        (asyncpg.InterfaceError("connection is closed"), Sort.UNAVAILABLE),
        (asyncpg.InternalClientError("unexpected"), Sort.UNAVAILABLE),
        (asyncpg.OutdatedSchemaCacheError("cached"), Sort.SHAPE),
        # a connection string's mistake: told at start, in words without its password
        (asyncpg.ClientConfigurationError("no such option"), Sort.UNKNOWN),
        (asyncpg.UnsupportedClientFeatureError("no encoder"), Sort.CONFIGURATION),
        (EncodingFault(3, TypeError("must be real number, not str")), Sort.DATA),
        # mistakes of ours are never taken for bad items
        (TypeError("a"), Sort.UNKNOWN),
        (ValueError("a"), Sort.UNKNOWN),
        (KeyError("a"), Sort.UNKNOWN),
        (AssertionError("a"), Sort.UNKNOWN),
        (asyncpg.exceptions._base.DataError("invalid input for query argument"), Sort.UNKNOWN),
        (RuntimeError("a"), Sort.UNKNOWN),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_errors_without_a_sqlstate_are_sorted_by_their_class(error: Exception, sort: Sort) -> None:
    assert sort_error(error) is sort


@pytest.mark.parametrize(
    "words",
    ["connection to the remote node worker-1:5432 failed", "could not connect to server", "failed to connect to x"],
)
def test_a_citus_worker_that_is_away_is_an_outage(words: str) -> None:
    assert sort_error(asyncpg.InternalServerError(words)) is Sort.UNAVAILABLE


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (asyncpg.AdminShutdownError("terminating"), Unavailable),
        (asyncpg.DeadlockDetectedError("deadlock"), Contended),
        (asyncpg.QueryCanceledError("statement timeout"), Contended),
        (asyncpg.InsufficientPrivilegeError("permission denied"), Misconfigured),
        (asyncpg.UndefinedTableError("no such table"), Misconfigured),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_the_border_turns_them_into_our_tree(error: Exception, ours: type[Exception]) -> None:
    assert type(translate(error)) is ours


def test_the_border_leaves_data_and_unknown_errors_alone() -> None:
    assert translate(asyncpg.UniqueViolationError("there")) is None
    assert translate(asyncpg.DataCorruptedError("page")) is None


def test_a_described_data_error_keeps_the_content_to_itself() -> None:
    error = asyncpg.InvalidTextRepresentationError('invalid input syntax: "secret"')
    error.column_name = "price"
    assert described(error) == "22P02 InvalidTextRepresentation, column price"
    assert "relation" in described(asyncpg.UndefinedTableError('relation "x" does not exist'))
