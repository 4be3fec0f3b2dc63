"""Decoding never raises and is total, and says the same as pydantic and PostgreSQL."""

import asyncio
import json
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_server.errors import Misconfigured
from ingest_server.model import Column, TableName, TableSpec
from ingest_server.postgres.decoding.decode import Decoder
from ingest_server.postgres.decoding.landing import LandingDecoder
from ingest_server.postgres.writing.rows import Decoded
from tests.make import batch


def spec(*columns: Column, catch_all: str | None = None) -> TableSpec:
    return TableSpec(TableName("public", "t"), columns, catch_all=catch_all)


def column(name: str, kind: str, *, nullable: bool = True, **more: object) -> Column:
    return Column(name, kind, kind, nullable, **more)  # type: ignore[arg-type]


KINDS = (
    *("int2", "int4", "int8", "numeric", "float4", "float8", "bool", "text", "bytea", "date", "time", "timetz"),
    *("timestamp", "timestamptz", "interval", "uuid", "inet", "cidr", "json", "jsonb"),
)
EVERYTHING = spec(
    *(column(kind, kind) for kind in KINDS),
    column("needed", "int4", nullable=False),
    column("short", "varchar", max_length=3),
    column("mood", "enum", labels=("ok", "sad")),
    column("texts", "text", dimensions=1),
    column("documents", "jsonb", dimensions=1),
    column("usual", "text", has_default=True),
    column("other", "int4", has_default=True),
)


def decode(decoder: Decoder | LandingDecoder, *items: bytes) -> Decoded:
    return asyncio.run(decoder.decode(items))


def only(decoded: Decoded) -> dict[str, object]:
    assert not decoded.refusals, decoded.refusals
    (rows,) = decoded.groups
    (row,) = rows.values
    return dict(zip(rows.columns, row, strict=True))


def why(decoded: Decoded) -> tuple[str | None, str]:
    (refusal,) = decoded.refusals
    assert refusal.code == "invalid"
    return refusal.column, refusal.message


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.decimals().map(str)
    | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([one.name for one in EVERYTHING.columns]) | st.text(max_size=8)
objects = st.dictionaries(names, json_values, max_size=8).map(lambda item: json.dumps(item).encode())
pieces = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b":",
        b",",
        b"\\u0000",
        b"\\ud800",
        b"NaN",
        b"1e999",
        b"-",
        b"0",
        b"\xff",
        b"\0",
        b"needed",
    ]
)
lines = objects | st.binary(max_size=40) | st.lists(pieces, max_size=12).map(b"".join)


@pytest.mark.parametrize("catch_all", [None, "jsonb"])
@given(items=st.lists(lines, max_size=12))
def test_every_item_is_a_row_or_a_refusal(catch_all: str | None, items: list[bytes]) -> None:
    for decoder in (Decoder(spec(*EVERYTHING.columns, catch_all=catch_all)), LandingDecoder("c", batch().id)):
        decoded = asyncio.run(decoder.decode(items))
        indexes = [index for rows in decoded.groups for index in rows.indexes]
        indexes += [refusal.index for refusal in decoded.refusals]
        assert sorted(indexes) == list(range(len(items)))
        for rows in decoded.groups:
            assert all(len(row) == len(rows.columns) for row in rows.values)
            assert rows.indexes == sorted(rows.indexes)


def test_others_get_their_turn_while_a_large_batch_is_decoded() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def both() -> None:
        counting = asyncio.ensure_future(count())
        await Decoder(spec(column("a", "int4"))).decode([b"{}"] * 2000)
        counting.cancel()

    asyncio.run(both())
    assert turns >= 10


def test_values_become_what_asyncpg_takes() -> None:
    item = b'{"needed": "12", "numeric": 0.1, "timestamptz": "2026-01-01T00:00:00", "timestamp": "2026-01-01T00:00:00+02:00"}'
    row = only(decode(Decoder(EVERYTHING), item))
    assert row["needed"] == 12
    assert row["numeric"] == Decimal("0.1")
    assert str(row["timestamptz"]) == "2026-01-01 00:00:00+00:00"
    assert str(row["timestamp"]) == "2025-12-31 22:00:00"


@pytest.mark.parametrize(
    "number",
    ["12345678901234567890.12", "0.1234567890123456789", "0.1000000000000000055", "-1.00000000000000000000000001"],
)
def test_no_digit_of_a_number_is_lost(number: str) -> None:
    row = only(decode(Decoder(EVERYTHING), f'{{"needed":1,"numeric":{number},"jsonb":{{"a":[{number}]}}}}'.encode()))
    assert row["numeric"] == Decimal(number)
    assert row["jsonb"] == f'{{"a":[{number}]}}'


def test_no_digit_of_a_number_in_an_array_is_lost() -> None:
    decoder = Decoder(spec(column("a", "numeric", dimensions=1), column("b", "numeric", dimensions=2)))
    row = only(decode(decoder, b'{"a":[1,0.1000000000000000055,null,"2.50"],"b":[[1E2],[12345678901234567890.12]]}'))
    assert row["a"] == [1, Decimal("0.1000000000000000055"), None, Decimal("2.50")]
    assert row["b"] == [[100], [Decimal("12345678901234567890.12")]]
    assert why(decode(decoder, b'{"a":["0.1000000000000000055", "1x"]}'))[0] == "a"


@pytest.mark.parametrize("kind", [*KINDS, "enum", "array"])
def test_null_in_a_column_that_is_not_null_is_said_plainly(kind: str) -> None:
    more = {"enum": {"labels": ("ok",)}, "array": {"dimensions": 1}}.get(kind, {})
    needed = column("needed", "text" if kind == "array" else kind, nullable=False, **more)
    assert why(decode(Decoder(spec(needed)), b'{"needed":null}')) == ("needed", "is null, but the column is NOT NULL")


def test_a_column_that_postgresql_makes_is_no_unknown_column() -> None:
    decoder = Decoder(spec(column("id", "int8", generated=True), column("a", "int4")))
    assert why(decode(decoder, b'{"id":1,"a":1}')) == (
        "id",
        "PostgreSQL makes this column itself (GENERATED): leave it out",
    )


def test_a_short_infinite_number_is_refused() -> None:
    assert why(decode(Decoder(EVERYTHING), b'{"needed":1,"float8":1e999}'))[0] == "float8"


@pytest.mark.parametrize(
    ("item", "column", "message"),
    [
        (b"", None, "is not one JSON object"),
        (b"nope", None, "is not one JSON object"),
        (b'{"needed":1}{"needed":2}', None, "is not one JSON object"),
        (b'{"needed":NaN}', "needed", "finite number"),
        (b'{"needed":Infinity}', "needed", "finite number"),
        (b'{"needed":1,"jsonb":[NaN]}', None, "is not one JSON object"),
        (b'{"needed":1,"jsonb":{"a":-Infinity}}', None, "is not one JSON object"),
        (b"[1]", None, "is JSON, but not an object"),
        (b"12", None, "is JSON, but not an object"),
        (b'{"needed":1,"text":"\xff"}', None, "is not one JSON object"),
        (b"{}", "needed", "is missing"),
        (b'{"needed":null}', "needed", "is null, but the column is NOT NULL"),
        (b'{"needed":"x"}', "needed", "valid integer"),
        (b'{"needed":12.5}', "needed", "valid integer"),
        (b'{"needed":3000000000}', "needed", "less than or equal to 2147483647"),
        (b'{"needed":1,"no":1}', "no", "the table has no such column"),
        (b'{"needed":1,"a\\u0000b":1}', "a\N{REPLACEMENT CHARACTER}b", "the table has no such column"),
        (b'{"needed":1,"short":"long"}', "short", "at most 3 characters"),
        (b'{"needed":1,"mood":"angry"}', "mood", "'ok' or 'sad'"),
        (b'{"needed":1,"texts":["a",1]}', "texts", "valid string (at 1)"),
        (b'{"needed":1,"text":"a\\u0000b"}', "text", "holds a NUL character"),
        (b'{"needed":1,"texts":["\\u0000"]}', "texts", "holds a NUL character"),
        (b'{"needed":1,"jsonb":{"a":"\\u0000"}}', "jsonb", "holds a NUL character"),
        (b'{"needed":1,"json":{"\\u0000":1}}', "json", "holds a NUL character"),
        (b'{"needed":1,"text":"\\ud800 and no more"}', None, "is not one JSON object"),
        (b'{"needed":1,"jsonb":["\\ud800 and no more"]}', None, "is not one JSON object"),
        (b'{"needed":1,"timestamp":"9999-12-31T23:59:59-05:00"}', "timestamp", "the table's own rule refused it"),
        (b'{"needed":1,"uuid":"secret-thing"}', "uuid", "valid UUID"),
        (b'{"needed":1,"float4":1e39}', "float4", "less than or equal to"),
        (b'{"needed":1,"inet":"1.2.3.4/99"}', "inet", "the table's own rule refused it"),
    ],
)
def test_a_refusal_names_column_and_reason(item: bytes, column: str | None, message: str) -> None:
    found, words = why(decode(Decoder(EVERYTHING), item))
    assert found == column
    assert message in words
    assert "secret" not in words


def test_text_that_only_looks_like_nul_is_taken() -> None:
    row = only(decode(Decoder(EVERYTHING), rb'{"needed":1,"text":"\\u0000","jsonb":"\\\\u0000"}'))
    assert row["text"] == r"\u0000"


@pytest.mark.parametrize(("depth", "taken"), [(99, True), (100, False)])
def test_nesting_ends_at_a_hundred(depth: int, taken: bool) -> None:
    item = b'{"needed":1,"jsonb":' + b"[" * depth + b"]" * depth + b"}"
    assert bool(decode(Decoder(EVERYTHING), item).groups) is taken
    brackets = b'{"needed":1,"text":"' + b"[" * 5000 + b'"}'
    assert only(decode(Decoder(EVERYTHING), brackets))["needed"] == 1


def test_of_a_repeated_member_the_last_one_counts() -> None:
    row = only(decode(Decoder(EVERYTHING), b'{"needed":1,"needed":2,"jsonb":1,"jsonb":[2]}'))
    assert (row["needed"], row["jsonb"]) == (2, "[2]")


def test_items_that_leave_different_columns_to_their_defaults_are_grouped() -> None:
    decoded = decode(
        Decoder(EVERYTHING), b'{"needed":1}', b'{"needed":2,"usual":"x"}', b'{"needed":3}', b'{"needed":4,"usual":null}'
    )
    assert [rows.indexes for rows in decoded.groups] == [[0, 2], [1, 3]]
    assert "usual" not in decoded.groups[0].columns
    assert {"usual", "text"} <= set(decoded.groups[1].columns)


def test_json_arrays_keep_their_elements_as_sent() -> None:
    row = only(decode(Decoder(EVERYTHING), b'{"needed":1,"documents":[{"a":1.10},null,"x"]}'))
    assert row["documents"] == ['{"a":1.10}', None, '"x"']


def test_json_null_is_null_and_refused_where_the_column_is_not() -> None:
    strict = spec(column("a", "jsonb", nullable=False))
    assert why(decode(Decoder(strict), b'{"a":null}')) == ("a", "is null, but the column is NOT NULL")
    assert only(decode(Decoder(spec(column("a", "jsonb"))), b'{"a":null}')) == {"a": None}


class TestCatchAll:
    TABLE = spec(column("a", "int4"), column("rest", "jsonb"), catch_all="rest")

    def test_fields_that_the_table_does_not_have_go_there_as_sent(self) -> None:
        row = only(decode(Decoder(self.TABLE), b'{"a":1,"b":1.10,"c":{"d":[1,2]}}'))
        assert row == {"a": 1, "rest": '{"b":1.10,"c":{"d":[1,2]}}'}

    def test_they_are_added_to_what_the_item_puts_there_itself(self) -> None:
        row = only(decode(Decoder(self.TABLE), b'{"rest":{"x":1},"b":2}'))
        assert orjson.loads(row["rest"]) == {"x": 1, "b": 2}  # type: ignore[arg-type]

    def test_nothing_of_the_item_is_overwritten(self) -> None:
        column, message = why(decode(Decoder(self.TABLE), b'{"rest":[1],"b":2}'))
        assert column == "rest"
        assert "not an object" in message
        assert only(decode(Decoder(self.TABLE), b'{"rest":[1]}'))["rest"] == "[1]"

    def test_nul_in_a_foreign_name_is_refused(self) -> None:
        assert why(decode(Decoder(self.TABLE), b'{"x\\u0000":2}'))[0] == "rest"


def test_a_column_that_takes_nothing_is_refused_where_an_item_fills_it() -> None:
    table = spec(column("a", "int4"), column("plan", "pg_node_tree"))
    assert only(decode(Decoder(table), b'{"a":1}')) == {"a": 1}
    assert why(decode(Decoder(table), b'{"plan":"x"}')) == (
        "plan",
        "the column's type is pg_node_tree, for which PostgreSQL takes no value from anybody",
    )


def test_a_table_that_can_take_no_item_says_so() -> None:
    with pytest.raises(Misconfigured, match="takes no value from anybody: give it a default"):
        Decoder(spec(column("a", "int4"), column("plan", "pg_node_tree", nullable=False)))
    with pytest.raises(Misconfigured, match="no column that an item could fill"):
        Decoder(spec(column("id", "int8", generated=True)))


def test_columns_may_have_any_name() -> None:
    odd = ["select", "a b", 'quo"ted', "Ünïcode", "__class__", "self", "f0", "model_config", "keys", "items"]
    table = spec(*(column(name, "jsonb") for name in odd))
    row = only(decode(Decoder(table), orjson.dumps({name: [name] for name in odd})))
    assert row == {name: orjson.dumps([name]).decode() for name in odd}


class TestLanding:
    def test_the_item_is_stored_as_it_is(self) -> None:
        one = batch()
        row = only(decode(LandingDecoder("crawl-1", one.id), b'{"a": 1.10}'))
        assert row == {"crawl": "crawl-1", "batch": one.id, "item": '{"a": 1.10}'}

    @pytest.mark.parametrize(
        ("item", "message"),
        [
            (b"[1]", "is JSON, but not an object"),
            (b"{", "is not one JSON object"),
            (b'{"a":NaN}', "is not one JSON object"),
            (b'{"a":"\xff"}', "is not UTF-8"),
            (b'{"a":"\\ud800"}', "is not one JSON object"),
            (b'{"a":["\\ud800\\u0041"]}', "half of a surrogate pair"),
            (b'{"a":"\\u0000"}', "NUL"),
        ],
    )
    def test_what_jsonb_would_not_take_is_refused(self, item: bytes, message: str) -> None:
        assert message in why(decode(LandingDecoder(None, batch().id), item))[1]
