"""Every type that the table in docs/tables.md names: into PostgreSQL and back, and what does not fit is refused alone."""

import re
from typing import Any

import asyncpg
import pytest

from tests.ingest_server.postgres.stores import Store, counts
from tests.make import batch
from tests.test_docs import rows

# type, what an item says, what PostgreSQL shows as text, what is refused
TYPES: list[tuple[str, Any, str, list[Any]]] = [
    ("smallint", "12", "12", [40000, 1.5, "x"]),
    ("integer", 12.0, "12", [2**31, True and "x"]),
    ("bigint", 2**63 - 1, str(2**63 - 1), [2**63, "9" * 30]),
    ("numeric", "0.10", "0.10", ["NaN", "x", "1e1000000"]),
    ("numeric(6,2)", 1.005, "1.01", [10000, -1e10]),
    ("real", 0.1, "0.1", [1e39, "NaN"]),
    ("double precision", 0.1, "0.1", ["Infinity", "x"]),
    ("boolean", "yes", "true", [2, "maybe"]),
    ("text", "ä\u2028 漢", "ä\u2028 漢", [1, ["a"], "a\0b"]),
    ("varchar(3)", "äöü", "äöü", ["abcd"]),
    ("char(3)", "a", "a", ["abcd"]),
    ("bytea", "ä", "\\xc3a4", [1]),
    ("date", "2026-02-28", "2026-02-28", ["2026-02-30", "x"]),
    ("time", "12:30:01.5", "12:30:01.5", ["25:00"]),
    ("timetz", "12:30:00", "12:30:00+00", ["x"]),
    ("timestamp", "2026-01-01T00:00:00+02:00", "2025-12-31 22:00:00", ["9999-12-31T23:59:59-05:00", "x"]),
    ("timestamptz", "2026-01-01T00:00:00", "2026-01-01 00:00:00+00", ["x"]),
    # the driver takes the ends of Python's calendar for infinity
    ("date", "9999-12-31", "9999-12-31", ["infinity", "10000-01-01"]),
    ("date", "0001-01-01", "0001-01-01", []),
    ("date[]", [None, "9999-12-31"], "{NULL,9999-12-31}", []),
    ("timestamp", "9999-12-31T23:59:59.999999", "9999-12-31 23:59:59.999999", []),
    ("timestamptz", "0001-01-01T00:00:00Z", "0001-01-01 00:00:00+00", []),
    ("timestamptz", "9999-12-31T18:59:59.999999-05:00", "9999-12-31 23:59:59.999999+00", []),
    ("timestamptz", 1767225600, "2026-01-01 00:00:00+00", [1e30]),
    ("interval", "P1DT2H", "1 day 02:00:00", ["x", [1]]),
    ("interval", "-P1Y2M3DT4H5.5S", "-1 years -2 mons -3 days -04:00:05.5", ["-P-1D", "-Px", "-"]),
    ("interval", "+P1D", "1 day", []),
    ("interval[]", ["-PT1S", 1], "{-00:00:01,00:00:01}", []),
    ("interval", "P1Y2M", "1 year 2 mons", ["1 fortnight"]),
    ("interval", 90.5, "00:01:30.5", [True]),
    ("interval", "-1 day, 23:00:00", "-1 days +23:00:00", []),  # Python's str(timedelta)
    ("uuid", "0198F0D000007000800000000000000A", "0198f0d0-0000-7000-8000-00000000000a", ["x"]),
    ("inet", "10.0.0.1/24", "10.0.0.1/24", ["10.0.0.1/99", "x", "fe80::1%eth0"]),
    ("cidr", "10.0.0.0/24", "10.0.0.0/24", ["10.0.0.1/24", "fe80::%1/64"]),
    ("name", "ä" * 31, "ä" * 31, ["ä" * 32]),
    ("oid", 2**32 - 1, str(2**32 - 1), [2**32, -1]),
    ("json", {"a": [1, None]}, '{"a":[1,null]}', []),
    ("jsonb", {"a": [1, None]}, '{"a": [1, null]}', []),
    ("int[]", [1, None, "3"], "{1,NULL,3}", [["x"], 1]),
    ("int[][]", [[1, 2], [3, 4]], "{{1,2},{3,4}}", [[[1], [2, 3]]]),
    ("text[]", ["a,b", None], '{"a,b",NULL}', [[1]]),
    ("timestamptz[]", ["2026-01-01T00:00:00"], '{"2026-01-01 00:00:00+00"}', [["x"]]),
    ("jsonb[]", [{"a": 1}, None], '{"{\\"a\\": 1}",NULL}', []),
    ("mood", "ok", "ok", ["sad", 1]),
    ("mood[]", ["ok"], "{ok}", [["sad"]]),
    ("percent", 50, "50", [101, "x"]),
    ("short", "abc", "abc", ["abcdef"]),
    ("shorter", "ab", "ab", ["abc", ""]),
    ("percent[]", [1, None, "3"], "{1,NULL,3}", [[101], 1]),
    ("triple", [1, 2, 3], "{1,2,3}", [[1, 2], "x"]),
    ("triple[]", ["{1,2,3}"], '{"{1,2,3}"}', [["{1,2}"]]),
    ("numeric[]", [0.1, "2.50", None], "{0.1,2.50,NULL}", [["x"]]),
    ("text[][]", [["a", None], ['"', "\\"]], '{{a,NULL},{"\\"","\\\\"}}', [[["a"], ["b", "c"]]]),
    ("bytea[]", ["ä"], '{"\\\\xc3a4"}', [[1]]),
    ("int4range", "[1,5)", "[1,5)", ["[5,1)", "x", [1, 5], {"lower": 1}]),
    ("numrange", "(,12345678901234567890.5]", "(,12345678901234567890.5]", []),
    ("tstzrange", "[2026-01-01Z,infinity]", '["2026-01-01 00:00:00+00",infinity]', ["[a,b]"]),
    ("daterange[]", ["[2026-01-01,2026-01-03]", None, "empty"], '{"[2026-01-01,2026-01-04)",NULL,empty}', [["x"]]),
    ("int4multirange", "{[1,3),[2,6)}", "{[1,6)}", ["[1,2)"]),
    ("floats", "[0.5,1)", "[0.5,1)", ["[1,0)"]),
    ("money", 12.5, "$12.50", ["x"]),
    ("bit(3)", "101", "101", ["10", "1012", "x"]),
    ("varbit", "10", "10", ["2"]),
    ("macaddr", "08-00-2b-01-02-03", "08:00:2b:01:02:03", ["x"]),
    ("macaddr8", "08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03:04:05", [1]),
    ("point", "(1,2.5)", "(1,2.5)", [[1, 2], "x"]),
    ("box", "(1,1),(0,0)", "(1,1),(0,0)", ["x"]),
    ("box[]", ["(1,1),(0,0)", None], "{(1,1),(0,0);NULL}", [["x"]]),
    ("polygon", "((0,0),(1,1))", "((0,0),(1,1))", [{}]),
    ("tsvector", "fat cats 'o''clock':2A", "'cats' 'fat' 'o''clock':2A", ["'"]),
    ("tsquery", "fat & !cat", "'fat' & !'cat'", ["&"]),
    ("pg_lsn", "16/B374D848", "16/B374D848", ["x"]),
    ("jsonpath", "$.a[*]", '$."a"[*]', ["$["]),
    ('"char"', "x", "x", []),
    ("regclass", "things", "things", ["no_such_table"]),
    ("int2vector", "1 2", "1 2", ["x"]),
    ("pair", '(1,"a, b")', '(1,"a, b")', ["x", "(x,1)"]),
    ("pair[]", ["(1,a)", None], '{"(1,a)",NULL}', [["x"]]),
    ("shape", "POINT(1 2)", "POINT(1 2)", []),
    ("shape", {"type": "Point", "x": [1, 2.50]}, '{"type":"Point","x":[1,2.5]}', []),
    ("shape[]", ["a", [1, 2], None, {"a": None}], '{a,"[1,2]",NULL,"{\\"a\\":null}"}', []),
    ("empty_enum", None, "", ["x", 1]),
    ("citext", "ÄbC", "ÄbC", [1, ["a"], "a\0"]),
    ("citext[]", ["a", None], "{a,NULL}", [[1]]),
    ("hstore", {"a": "1", 'q"': "\\", "n": None, "m": 2}, r'"a"=>"1", "q\""=>"\\", "n"=>NULL, "m"=>"2"', []),
    ("hstore", "a=>1", "a=>1", [{"a": "\0"}]),
    ("vector(3)", [1, 2.5, 3], "[1,2.5,3]", [[1, 2], "x", {}]),
    ("vector(2)", "[1,2]", "[1,2]", []),
]

OWN = """
SET timezone = 'UTC'; CREATE TYPE mood AS ENUM ('ok'); CREATE TYPE empty_enum AS ENUM ();
CREATE DOMAIN percent AS int CHECK (VALUE <= 100); CREATE DOMAIN short AS varchar(3);
CREATE DOMAIN shorter AS short CHECK (VALUE <> '' AND length(VALUE) < 3);
CREATE DOMAIN triple AS int[] CHECK (array_length(VALUE, 1) = 3);
CREATE TYPE floats AS RANGE (subtype = float8); CREATE TYPE pair AS (a int, b text);
CREATE EXTENSION vector;
"""
# Of these only the text is known, as of the types of PostGIS, citext and hstore, which the embedded server does not have.
OWN += "".join(f"""
CREATE TYPE {name};
CREATE FUNCTION {name}_in(cstring) RETURNS {name} LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION {name}_out({name}) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE {name} (INPUT = {name}_in, OUTPUT = {name}_out, LIKE = text);
""" for name in ("shape", "citext", "hstore"))  # fmt: skip


@pytest.mark.parametrize("key", ["", "PRIMARY KEY"], ids=["append", "upsert"])
async def test_every_type(store: Store, sql: asyncpg.Connection, key: str) -> None:
    """In one database, a table for each: what is stored, what is NULL, what is refused, and that a value equals itself."""
    await sql.execute(f"{OWN}; CREATE TABLE things ()")
    wrong = {}
    for number, (kind, value, shown, refused) in enumerate(TYPES):
        await sql.execute(f"CREATE TABLE t{number} (id int {key}, v {kind})")
        items = [{"id": 0, "v": value}, {"id": 1, "v": None}, {"id": 2}]
        items += [{"id": 3 + place, "v": one} for place, one in enumerate(refused)]
        settled = await store.write(batch(*items, table=f"t{number}"))
        again = await store.write(batch(*items[:3], table=f"t{number}"))
        found = (
            counts(settled),
            (await sql.fetchval(f"SELECT v::text FROM t{number} WHERE id = 0")) or "",
            await sql.fetchval(f"SELECT count(DISTINCT id) FROM t{number} WHERE v IS NULL"),
            {buried.refusal.column for buried in settled.errors} <= {"v", None},
            counts(again),
        )
        expected = (3, 0, 0, len(refused)), shown, 2 + (value is None), True, (0, 0, 3, 0) if key else (3, 0, 0, 0)
        if found != expected:
            wrong[f"{kind} {value!r}"] = found, expected
    assert wrong == {}


def documented() -> list[tuple[str, list[str], str]]:
    """Each type in the table of docs/tables.md with its examples, as they are sent, and what is stored."""
    found = []
    for cells in rows("tables.md", "Types, and what a JSON value becomes")[1:]:
        kinds, examples, shown = (re.findall(r"`([^`]*)`", cell) for cell in (cells[0], *cells[2:4]))
        if examples:
            found += [(kind, examples, shown[0]) for kind in kinds if kind != "numeric[]"]
    return found


async def test_the_examples_in_the_docs(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute(OWN)
    wrong = {}
    assert len(documented()) > 40
    for number, (kind, examples, shown) in enumerate(documented()):
        await sql.execute(f"CREATE TABLE t{number} (id int, v {kind})")
        items = [f'{{"id":{place},"v":{example}}}'.encode() for place, example in enumerate(examples)]
        settled = await store.write(batch(*items, table=f"t{number}"))
        stored = {row[0] for row in await sql.fetch(f"SELECT v::text FROM t{number}")}
        if stored != {shown} or settled.inserted != len(examples):
            wrong[kind] = stored, shown, [one.refusal.message for one in settled.errors]
    assert wrong == {}


async def test_a_row_that_is_too_big_is_refused_alone(store: Store, sql: asyncpg.Connection) -> None:
    """1,600 columns of 18 bytes, which cannot be moved out of the row, are more than a page."""
    columns = ", ".join(f"c{number} uuid" for number in range(600))
    await sql.execute(f"CREATE TABLE things (id int, {columns})")
    wide = {f"c{number}": "0198f0d0-0000-7000-8000-00000000000a" for number in range(600)}
    settled = await store.write(batch({"id": 1}, {"id": 2} | wide, {"id": 3}))
    assert counts(settled) == (2, 0, 0, 1)
    assert settled.errors[0].refusal.code == "54000"


async def test_a_user_s_own_type_with_a_name_of_postgresql_s(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute('CREATE TYPE public."text" AS (a int); CREATE TABLE things (id int, v public."text")')
    settled = await store.write(batch({"id": 1}, {"id": 2, "v": "x"}, {"id": 3, "v": "(3)"}))
    assert counts(settled) == (2, 0, 0, 1)
    assert (settled.errors[0].refusal.code, settled.errors[0].refusal.column) == ("22P02", "v")


async def test_values_that_postgresql_finds_equal_and_people_do_not(store: Store, sql: asyncpg.Connection) -> None:
    """Thirty days are not a month, nor A an a: such a change is written."""
    await sql.execute(f"{OWN}; CREATE TABLE things (id int PRIMARY KEY, i interval, b box, j json, s shape)")
    for column, before, after in (
        ("i", "1 month", "30 days"),
        ("b", "(1,1),(0,0)", "(2,2),(1,1)"),
        ("j", 1.0, 1),
        ("s", "a", "b"),
    ):
        assert counts(await store.write(batch({"id": 1, column: before}))) in {(1, 0, 0, 0), (0, 1, 0, 0)}
        assert counts(await store.write(batch({"id": 1, column: after}))) == (0, 1, 0, 0), column
        assert counts(await store.write(batch({"id": 1, column: after}))) == (0, 0, 1, 0), column


async def test_both_forms_of_copy_store_the_same(store: Store, sql: asyncpg.Connection) -> None:
    """A column without a binary form makes its whole row go as text."""
    columns = "r real, d double precision, b boolean, t text, y bytea, ts timestamptz, n numeric, a real[], x text[]"
    await sql.execute(f"CREATE TABLE binary_form ({columns}); CREATE TABLE text_form (LIKE binary_form, i int4range)")
    items = [
        {"r": 1e-60, "d": 5e-324, "b": False, "t": "\t\\N\r\n\\.", "y": "\\x41", "n": "1e-20", "a": [1e-60, -0.0, None]},
        {"r": 16777217, "d": -1.7976931348623157e308, "b": True, "t": "\\N", "ts": "0002-01-01", "x": ["NULL", None, "", "{"]},
    ]  # fmt: skip
    for table in ("binary_form", "text_form"):
        assert counts(await store.write(batch(*items, table=table))) == (2, 0, 0, 0)
    names = "r, d, b, t, y, ts, n, a, x"
    stored = [await sql.fetch(f"SELECT {names} FROM {table} ORDER BY b") for table in ("binary_form", "text_form")]
    assert [tuple(row) for row in stored[0]] == [tuple(row) for row in stored[1]]


async def test_arrays_of_another_depth_beside_elements_that_are_lists(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (a int[], j jsonb[], t text[][])")
    settled = await store.write(batch({"a": [[1], [2]], "j": [[1], 2, None], "t": ["x"]}, {"a": [1], "j": [[[1]]]}))
    assert counts(settled) == (2, 0, 0, 0)
    rows = await sql.fetch("SELECT a, j::text, t FROM things ORDER BY array_ndims(a) DESC")
    assert [tuple(row) for row in rows] == [([[1], [2]], "{[1],2,NULL}", ["x"]), ([1], "{[[1]]}", None)]
