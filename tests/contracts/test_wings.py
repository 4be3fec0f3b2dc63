"""What joins the two wings: the server decodes what the client encoded, and both name a class's table alike."""

import keyword
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg
from hypothesis import example, given
from hypothesis import strategies as st
from scrapy import Field, Item

from ingest_server.model import TableName, TableOptions
from ingest_server.models import table as tables
from ingest_server.names import uuid7 as server_uuid7
from ingest_server.postgres.decoding.decode import Decoder
from ingest_server.postgres.tables.catalogue import read_table
from ingest_server.postgres.writing.copying import Copying
from ingest_server.wire import batch_id, split
from scrapy_batching import names
from scrapy_batching.batching.lines import OpenBatches
from scrapy_batching.items.encode import Encoder

VALUES = {
    "whole": 2**62,
    "exact": Decimal("12345678901234567890.0123456789"),
    "real": 0.1,
    "yes": True,
    "words": 'ÄÖ "quoted" \\ 漢字 \u2028 \x7f',
    "raw": b"bytes \xc3\xa4",
    "day": date(2026, 2, 28),
    "instant": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    "span": timedelta(days=3, seconds=7.5),
    "name": UUID("0198f0d0-0000-7000-8000-000000000001"),
    "list_of": ["a", None, "b"],
    "nested": {"a": [1, {"b": None}], "big": 10**30},
}


async def test_the_server_decodes_every_kind_of_value_that_the_client_encodes(sql: asyncpg.Connection) -> None:
    await sql.execute(
        "CREATE TABLE things (whole bigint, exact numeric, real float8, yes boolean, words text, raw bytea, day date, "
        "instant timestamptz, span interval, name uuid, list_of text[], nested jsonb)"
    )

    class Thing(Item):
        pass

    Thing.fields = {name: Field() for name in VALUES}
    line, altered = Encoder()(Thing(**VALUES))
    assert not altered
    gathered = OpenBatches(most_items=1, most_bytes=10**6, most_age=1, clock=lambda: 0.0)
    (closed,) = gathered.add(names.snake_case(Thing.__name__), line, len(line) + 1)
    spec = await read_table(sql, TableName("public", closed.table + "s"), TableOptions())
    assert spec is not None
    decoded = await Decoder(spec).decode(split(closed.body(), "ndjson"))
    assert decoded.refusals == []
    (rows,) = decoded.groups
    got = dict(zip(rows.columns, rows.values[0], strict=True))
    # PostgreSQL reads intervals itself
    assert {**got, "nested": None, "span": None} == {**VALUES, "nested": None, "span": None}
    await Copying(spec).copy(sql, "things", "public", rows.columns, rows.values, ())
    assert await sql.fetchval("SELECT span FROM things") == VALUES["span"]
    assert await sql.fetchval("SELECT nested->>'big' FROM things") == str(10**30)


@given(st.text(min_size=1).filter(str.isidentifier).filter(lambda name: not keyword.iskeyword(name)))
@example("CaféItem")
@example("HTTPResult2Item")
@example("_Private_Thing")
def test_an_item_class_and_a_model_of_one_name_mean_one_table(name: str) -> None:
    assert names.snake_case(name) == tables.snake_case(name)


def test_the_clients_names_are_the_servers_ids() -> None:
    name = names.uuid7()
    assert batch_id("", str(name)) == name
    assert (name.version, server_uuid7().version) == (7, 7)


@given(st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text and text.isprintable()))
def test_the_table_in_the_clients_address_is_the_one_that_the_server_reads(name: str) -> None:
    assert TableName.parse(names.quote_part(name), "public") == TableName("public", name)
