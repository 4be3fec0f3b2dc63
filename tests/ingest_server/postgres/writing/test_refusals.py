import asyncpg

from ingest_server.postgres.connections.sqlstate import EncodingFault
from ingest_server.postgres.writing.refusals import copy_position, refusal_from


def _error(kind: type[asyncpg.PostgresError], words: str = "words", **fields: str) -> asyncpg.PostgresError:
    error = kind(words)
    for key, value in fields.items():
        setattr(error, key, value)
    return error


def test_reason_column_and_constraint_are_named_and_the_content_is_not() -> None:
    error = _error(
        asyncpg.CheckViolationError,
        "Failing row contains (secret)",
        column_name="price",
        constraint_name="price_above_0",
    )
    refusal = refusal_from(error, 7)
    assert (refusal.index, refusal.code, refusal.column) == (7, "23514", "price")
    assert refusal.message == "violates a check constraint: price_above_0"
    assert "secret" in (refusal.detail or "")


def test_a_code_without_a_sentence_is_named_by_its_class() -> None:
    assert refusal_from(_error(asyncpg.DivisionByZeroError), 0).message == "was refused by PostgreSQL (DivisionByZero)"


def test_a_missing_partition_is_no_check_constraint() -> None:
    assert refusal_from(_error(asyncpg.CheckViolationError), 0).message == "no partition of the table takes it"


def test_the_row_and_column_of_a_copy_are_read() -> None:
    error = _error(asyncpg.NumericValueOutOfRangeError, context='COPY things, line 12, column a "b, c')
    assert copy_position(error, "things") == 11
    assert refusal_from(error, 0).column == 'a "b, c'


def test_an_encoding_fault_tells_its_own_row() -> None:
    error = EncodingFault(4, TypeError("must be real number, not str"))
    assert copy_position(error, "things") == 4
    assert refusal_from(error, 9).code == "invalid"


def test_only_the_copy_of_this_table_is_believed() -> None:
    quoted = 'PL/pgSQL function f() line 3 at RAISE\nSQL statement "COPY things, line 2"\nCOPY things, line 5'
    assert copy_position(_error(asyncpg.RaiseError, context=quoted), "things") == 4
    assert copy_position(_error(asyncpg.RaiseError, context="COPY other, line 5"), "things") is None
    odd = "COPY x, line 3, line 8"
    assert copy_position(_error(asyncpg.RaiseError, context=odd), "x, line 3") == 7
    assert copy_position(_error(asyncpg.RaiseError), "things") is None
