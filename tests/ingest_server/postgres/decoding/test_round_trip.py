"""A row that is read back equals the item, by the rule that docs/tables.md gives for each type."""

import asyncio
import itertools
import json
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg.types import BitString, Point, Range
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_server.model import TableOptions
from tests.ingest_server.postgres.stores import counts, store_over
from tests.make import batch

Sent = tuple[str, Any]
"""A JSON value as it is written in the item, and what the column gives back."""


def same(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Sent]:
    return values.map(lambda value: (json.dumps(value), value))


def told(values: st.SearchStrategy[Any], said: Callable[[Any], str] = str) -> st.SearchStrategy[Sent]:
    """Values that an item says in words."""
    return values.map(lambda value: (json.dumps(said(value)), value))


def stored(values: st.SearchStrategy[Any], as_it_is: Callable[[Any], Any]) -> st.SearchStrategy[Sent]:
    """Values of which the column gives back something else."""
    return values.map(lambda value: (json.dumps(value), as_it_is(value)))


def whole(bits: int) -> st.SearchStrategy[Sent]:
    numbers = st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    exact_floats = st.integers(-(2 ** min(53, bits - 1)), 2 ** min(53, bits - 1) - 1)
    return same(numbers) | told(numbers) | exact_floats.map(lambda one: (f"{one}.0", one))


def listed(values: st.SearchStrategy[Sent]) -> st.SearchStrategy[Sent]:
    elements = values | st.just(("null", None))
    return st.lists(elements, max_size=4).map(
        lambda found: (f"[{','.join(sent for sent, _ in found)}]", [value for _, value in found])
    )


def moment(zoned: bool) -> st.SearchStrategy[Sent]:
    zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    years = {"min_value": datetime(2, 1, 1), "max_value": datetime(9998, 1, 1)}  # noqa: DTZ001
    dated = st.datetimes(**years, timezones=zones)
    bare = st.datetimes(**years)
    if zoned:  # without a zone it is UTC
        return dated.map(lambda one: (json.dumps(one.isoformat()), one.astimezone(UTC))) | bare.map(
            lambda one: (json.dumps(one.isoformat()), one.replace(tzinfo=UTC))
        )
    return dated.map(lambda one: (json.dumps(one.isoformat()), one.astimezone(UTC).replace(tzinfo=None))) | told(
        bare, datetime.isoformat
    )


def ranged(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high - 1), st.integers(1, 1000)).map(lambda one: (one[0], one[0] + one[1]))


def real(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
finite = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.decimals(-(10**30), 10**30, allow_nan=False) | st.decimals(places=40, min_value=-2, max_value=2)
prices = st.decimals(-99999, 99999, places=3)
cents = prices.map(lambda one: (str(one), one.quantize(Decimal("0.01"), ROUND_HALF_UP)))
numbers = decimals.map(lambda one: (str(one), one)) | told(decimals)
lasting = st.timedeltas(timedelta(-100_000), timedelta(100_000))
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | finite | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
).filter(lambda value: value is not None)

TYPES: dict[str, st.SearchStrategy[Sent]] = {
    "smallint": whole(16),
    "integer": whole(32),
    "bigint": whole(64),
    "oid": same(st.integers(0, 2**32 - 1)),
    "numeric": numbers,
    "numeric(9,2)": cents,
    "real": stored(st.floats(-3.4e38, 3.4e38), real),
    "double precision": same(finite) | told(finite, repr),
    "boolean": same(st.booleans()) | st.sampled_from([('"yes"', True), ("0", False), ('"off"', False), ('"t"', True)]),
    "text": same(words),
    "varchar(12)": same(words),
    "char(12)": stored(words, lambda text: text.ljust(12)),
    "name": same(words.filter(lambda text: len(text.encode()) < 64)),
    '"char"': same(st.sampled_from("abc")).map(lambda sent: (sent[0], sent[1].encode())),
    "bytea": stored(words, str.encode),
    "date": told(st.dates()),
    "time": told(st.times()),
    "timestamp": moment(zoned=False),
    "timestamptz": moment(zoned=True),
    "interval": told(lasting) | told(lasting, lambda one: f"P{one.days}DT{one.seconds}.{one.microseconds:06}S"),
    "uuid": told(st.uuids()) | told(st.uuids(), lambda one: one.hex.upper()),
    "inet": told(st.ip_addresses()),
    "cidr": told(st.ip_addresses(v=4).map(lambda one: __import__("ipaddress").ip_network(one))),
    "jsonb": documents.map(lambda value: (json.dumps(value), exact(json.dumps(value)))),
    "json": documents.map(lambda value: (json.dumps(value, indent=1).replace("\n", " "),) * 2),
    "integer[]": listed(whole(32)),
    "text[]": listed(same(words)),
    "numeric[]": listed(numbers),
    "bytea[]": listed(stored(words, str.encode)),
    "jsonb[]": listed(documents.map(lambda value: (json.dumps(value), exact(json.dumps(value))))),
    "interval[]": listed(told(lasting)),
    "text[][]": st.lists(same(words), min_size=4, max_size=4).map(
        lambda found: (
            "[[{},{}],[{},{}]]".format(*(sent for sent, _ in found)),
            [[found[0][1], found[1][1]], [found[2][1], found[3][1]]],
        )
    ),
    "mood": same(st.sampled_from(["ok", "so, so", 'q"', ""])),
    "mood[]": listed(same(st.sampled_from(["ok", "so, so", 'q"', ""]))),
    "percent": same(st.integers(0, 100)),
    "percent[]": listed(same(st.integers(0, 100))),
    "int4range": ranged(-(2**31), 2**31 - 2000).map(lambda one: (f'"[{one[0]},{one[1]})"', Range(*one))),
    "numrange": st.tuples(prices, prices).filter(lambda one: one[0] < one[1]).map(
        lambda one: (f'"({one[0]},{one[1]}]"', Range(*one, lower_inc=False, upper_inc=True))
    ),
    "int4multirange": ranged(0, 10**6).map(
        lambda one: (f'"{{({one[1] + 5},),[{one[0]},{one[1]})}}"', [Range(*one), Range(one[1] + 6, None)])
    ),
    "int4range[]": listed(ranged(-5, 5).map(lambda one: (f'"[{one[0]},{one[1]})"', Range(*one)))),
    "bit(8)": told(st.text("01", min_size=8, max_size=8)).map(lambda sent: (sent[0], BitString(sent[1]))),
    "varbit": told(st.text("01", min_size=1)).map(lambda sent: (sent[0], BitString(sent[1]))),
    "point": st.tuples(finite, finite).map(lambda one: (f'"({one[0]!r},{one[1]!r})"', Point(*one))),
    "pair": st.integers(-9, 9).map(lambda one: (f'"({one},x)"', (one, "x"))),
    "pair[]": listed(st.integers(-9, 9).map(lambda one: (f'"({one},x)"', (one, "x")))),
}  # fmt: skip


def exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def read(kind: str, value: Any) -> Any:
    """asyncpg gives jsonb as text, and a line of JSON stays as it was sent."""
    if kind == "jsonb" and value is not None:
        return exact(value)
    if kind == "jsonb[]" and value is not None:
        return [None if one is None else exact(one) for one in value]
    if kind == "uuid" and value is not None:
        return UUID(str(value))
    return tuple(value) if kind == "pair" and value is not None else value


items = st.fixed_dictionaries({kind: values | st.just(("null", None)) for kind, values in TYPES.items()})
partial = st.lists(st.tuples(items, st.sets(st.sampled_from(sorted(TYPES)), max_size=5)), min_size=1, max_size=3)


def test_a_row_equals_its_item(database: str) -> None:
    columns = {kind: f"c{number}" for number, kind in enumerate(TYPES)}
    ids = itertools.count(1)
    with asyncio.Runner() as runner:

        async def begin() -> Any:
            sql = await asyncpg.connect(database)
            await sql.execute(
                "CREATE TYPE mood AS ENUM ('ok', 'so, so', 'q\"', ''); CREATE DOMAIN percent AS int CHECK (VALUE <= 100);"
                "CREATE TYPE pair AS (a int, b text);"
                f"CREATE TABLE things (id int PRIMARY KEY, {', '.join(f'{name} {kind}' for kind, name in columns.items())});"
                "CREATE TABLE appended (LIKE things)"
            )
            context = store_over(database, size=1, options={"appended": TableOptions()})
            return sql, context, await context.__aenter__()

        sql, context, store = runner.run(begin())

        async def check(found: list[tuple[dict[str, Sent], set[str]]]) -> None:
            lines, expected = [], []
            for item, left_out in found:
                number = next(ids)
                members = [f'"id":{number}']
                members += [f'"{columns[kind]}":{sent}' for kind, (sent, _) in item.items() if kind not in left_out]
                lines.append(f"{{{','.join(members)}}}".encode())
                row = {kind: None if kind in left_out else value for kind, (_, value) in item.items()}
                expected.append((number, row))
            for table in ("things", "appended"):
                settled = await store.write(batch(*lines, table=table))
                assert counts(settled) == (len(lines), 0, 0, 0), [one.refusal for one in settled.errors]
                for number, row in expected:
                    stored_row = await sql.fetchrow(f"SELECT * FROM {table} WHERE id = $1", number)
                    for kind, name in columns.items():
                        assert read(kind, stored_row[name]) == row[kind], kind
            # A value equals itself, whatever its type.
            assert counts(await store.write(batch(*lines))) == (0, 0, len(lines), 0)

        @settings(max_examples=25, deadline=None)
        @given(partial)
        def property_holds(found: list[tuple[dict[str, Sent], set[str]]]) -> None:
            runner.run(check(found))

        try:
            property_holds()
        finally:
            runner.run(context.__aexit__(None, None, None))
            runner.run(sql.close())
