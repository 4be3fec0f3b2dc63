import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_server.model import CrawlTotals, Settled, Status, TableName
from tests.make import NOON, batch


@pytest.mark.parametrize(
    ("text", "schema", "name"),
    [
        ("things", "public", "things"),
        ("shop.things", "shop", "things"),
        ('"a.b"', "public", "a.b"),
        ('shop."a.b"', "shop", "a.b"),
        ('"s.t"."a""b"', "s.t", 'a"b'),
        ("Things", "public", "Things"),
        ("ünïcode thing", "public", "ünïcode thing"),
        ("x" * 63, "public", "x" * 63),
    ],
)
def test_a_table_is_named_with_or_without_its_schema(text: str, schema: str, name: str) -> None:
    assert TableName.parse(text, "public") == TableName(schema, name)


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a.b.c", '"a', '"a"b', 'a."b', '""', "x" * 64, "ü" * 32, "a\0b", "\ud800", 'a."b"c']
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a table"):
        TableName.parse(text, "public")


@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_a_name_is_shown_as_it_is_read(schema: str, name: str) -> None:
    table = TableName(schema, name)
    try:
        table.check()
    except ValueError:
        return
    assert TableName.parse(table.shown("public"), "public") == table
    assert TableName.parse(table.shown(""), "public") == table


@pytest.mark.parametrize(("failed", "status"), [(0, Status.COMPLETED), (2, Status.COMPLETED), (3, Status.FAILED)])
def test_a_batch_failed_where_every_item_was_refused(failed: int, status: Status) -> None:
    one = batch({}, {}, {})
    settled = Settled(
        one.id, one.table, None, b"", 3, inserted=3 - failed, updated=0, unchanged=0, failed=failed, errors=(),
        created_at=NOON, completed_at=NOON,
    )  # fmt: skip
    assert settled.status is status
    assert settled.succeeded == 3 - failed


def test_a_crawl_expects_what_its_client_did_not_keep() -> None:
    assert CrawlTotals().expected is None
    assert CrawlTotals(items=10, rejected=1, dropped=2, spooled=3).expected == 4
