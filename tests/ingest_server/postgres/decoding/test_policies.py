"""What a table's options leave out of items or replace in them, instead of refusing them: and that it is counted."""

import json
import time

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_server.errors import StartRefused
from ingest_server.model import Settled, TableOptions, Unknown, Unstorable
from ingest_server.postgres.decoding.jsontext import quoted_numbers, too_deep
from ingest_server.postgres.decoding.mending import mended
from ingest_server.settings import Settings
from ingest_server.telemetry import Telemetry
from tests.ingest_server.postgres.stores import counts, store_over
from tests.make import NOON, batch

IGNORE = TableOptions(unknown=Unknown.IGNORE)
REPLACE = TableOptions(unstorable=Unstorable.REPLACE)


async def test_unknown_fields_are_left_out_and_counted(database: str, sql: asyncpg.Connection) -> None:
    await sql.execute(
        "CREATE TABLE things (id int PRIMARY KEY, made int GENERATED ALWAYS AS (id) STORED, span int4range, v int DEFAULT 1)"
    )
    async with store_over(database, options={"things": IGNORE}) as store:
        settled = await store.write(
            batch({"id": 1, "a": 1, "b": {"c": ["\0"]}}, {"id": 2}, {"id": 3, "made": 1}, b'{"id":4,"a":NaN}', {"a": 1})
        )
        assert counts(settled) == (2, 0, 0, 3)
        assert settled.altered == {"unknown_field": 2}
        assert [one.refusal.column for one in settled.errors] == ["made", None, "id"]
        assert (await store.write(batch({"id": 5}))).altered == {}


async def test_a_catch_all_does_not_take_what_postgresql_makes(database: str, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int, made int GENERATED ALWAYS AS (id) STORED, rest jsonb)")
    async with store_over(database, options={"things": TableOptions(catch_all="rest")}) as store:
        settled = await store.write(batch({"id": 1, "a": 1}, {"id": 2, "made": 1}))
    assert counts(settled) == (1, 0, 0, 1)
    assert settled.errors[0].refusal.column == "made"


UNSTORABLE = [
    (b'{"id":1,"t":"a\\u0000b"}', "t", "a\ufffdb", {"nul": 1}),
    (b'{"id":2,"t":"\\ud83d\\ude00 \\ud83d \\udE00"}', "t", "\U0001f600 \ufffd \ufffd", {"surrogate": 2}),
    (b'{"id":3,"t":"\\\\u0000 \\\\ud800 NaN"}', "t", "\\u0000 \\ud800 NaN", {}),
    (b'{"id":4,"f":NaN}', "f", None, {"nan": 1}),
    (b'{"id":5,"f":"NaN","t":"NaN"}', "t", "NaN", {"nan": 1}),
    (b'{"id":6,"f":-Infinity,"n":"-Infinity"}', "n", None, {"nan": 2}),
    (b'{"id":7,"j":{"a\\u0000":[NaN,"\\ud800",-Infinity,"NaN"]}}', "j", '{"a\ufffd": [null, "\ufffd", null, "NaN"]}',
     {"nan": 2, "nul": 1, "surrogate": 1}),
    (b'{"id":8,"ts":["\\u0000",null],"fs":[1,NaN]}', "fs", [1.0, None], {"nul": 1, "nan": 1}),
    (b'{"id":9,"s":"[1,2)","t":"\\u0000"}', "t", "\ufffd", {"nul": 1}),
    (b'{"id":10,"rest_\\u0000":1}', "rest", '{"rest_\ufffd": 1}', {"nul": 1}),
]  # fmt: skip
NEVER = [
    b'{"id":20,"t":"\\u0000","f":"x"}',
    b'{"id":21,"t":NaNN}',
    b'{"id":NaN}',
    b'{"id":22,"t":"\xff\\u0000"}',
    b"NaN",
]
TABLE = "id int NOT NULL, t text, f float8, n numeric, j jsonb, ts text[], fs float8[], s int4range, rest jsonb"


async def test_what_cannot_be_stored_is_replaced_and_counted(database: str, sql: asyncpg.Connection) -> None:
    await sql.execute(f"CREATE TABLE things ({TABLE})")
    options = TableOptions(catch_all="rest", unstorable=Unstorable.REPLACE)
    async with store_over(database, options={"things": options}) as store:
        total: dict[str, int] = {}
        for item, column, shown, altered in UNSTORABLE:
            settled = await store.write(batch(item))
            assert (counts(settled), settled.altered) == ((1, 0, 0, 0), altered), item
            number = json.loads(item.split(b",")[0] + b"}")["id"]
            assert await sql.fetchval(f"SELECT {column} FROM things WHERE id = {number}") == shown, item
            total = {what: total.get(what, 0) + altered.get(what, 0) for what in ("nan", "nul", "surrogate")}
        await sql.execute("DELETE FROM things")
        settled = await store.write(batch(*NEVER, *(item for item, *_ in UNSTORABLE)))
        assert counts(settled) == (len(UNSTORABLE), 0, 0, len(NEVER))
        assert settled.altered == total  # not what was replaced in items that were refused all the same
        raw = await sql.fetchval("SELECT raw FROM ingest.dead_letters WHERE index = 0")
        assert raw == NEVER[0]


async def test_without_a_word_they_are_refused(database: str, sql: asyncpg.Connection) -> None:
    await sql.execute(f"CREATE TABLE things ({TABLE})")
    async with store_over(database, options={"things": TableOptions(catch_all="rest")}) as store:
        settled = await store.write(batch(*(item for item, *_ in UNSTORABLE)))
    assert counts(settled) == (1, 0, 0, len(UNSTORABLE) - 1)
    assert settled.altered == {}


async def test_a_landing_table_replaces_too(database: str, sql: asyncpg.Connection) -> None:
    async with store_over(database, options={"things": REPLACE}, create_tables=True) as store:
        settled = await store.write(batch(b'{"a":["\\u0000",NaN,"\\ud800"]}', b'{"a":NaN', {"a": 1}))
    assert counts(settled) == (2, 0, 0, 1)
    assert settled.altered == {"nul": 1, "nan": 1, "surrogate": 1}
    assert await sql.fetchval("SELECT item FROM things ORDER BY id LIMIT 1") == '{"a": ["\ufffd", null, "\ufffd"]}'


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(categories=None)),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(categories=None), max_size=3), inner),
    )
)
def test_a_mended_item_is_json_and_otherwise_the_same(value: object) -> None:
    """`json.dumps` writes all three of them without a word."""
    raw = json.dumps({"v": value}).encode()
    whole, altered = mended(raw, ())

    def expected(value: object) -> object:
        match value:
            case float() if value != value or value in (float("inf"), float("-inf")):
                return None
            case str():
                text = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
                return text.replace("\0", "\ufffd")
            case list():
                return [expected(one) for one in value]
            case dict():
                return {expected(name): expected(one) for name, one in value.items()}
        return value

    def refused(text: str) -> object:
        raise AssertionError(text)

    found = json.loads(whole, parse_constant=refused)
    if not altered:
        assert whole == raw
    assert json.dumps(found) == json.dumps({"v": expected(value)})


@pytest.mark.parametrize(
    "look", [lambda raw: too_deep(raw), lambda raw: mended(raw, ("f",)), lambda raw: quoted_numbers(raw)]
)
def test_a_hostile_text_takes_no_quadratic_time(look) -> None:
    """A text that never ends, full of quotes that end none: a pattern for whole texts would take hours for this one."""
    raw = b"[]" * 200 + b'["' + b'\\"' * 500_000 + b"1234567890123456 NaN \\u0000"
    began = time.perf_counter()
    look(raw)
    assert time.perf_counter() - began < 10


def test_settings_say_it(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "ingest.toml"
    file.write_text('[table.things]\nkey = ["url"]\nunknown = "ignore"\nunstorable = "replace"\n')
    (options,) = Settings.read({}).table_options.values()
    assert options == TableOptions(key=("url",), unknown=Unknown.IGNORE, unstorable=Unstorable.REPLACE)
    file.write_text('[table.things]\nunknown = "ignore"\ncatch_all = "rest"\n')
    with pytest.raises(StartRefused, match="take one out"):
        Settings.read({})


def test_it_is_counted_by_table_and_kind() -> None:
    one = batch({"a": 1})
    telemetry = Telemetry()
    head = (one.id, one.table, None, one.fingerprint, 1, 1, 0, 0, 0, (), NOON, NOON)
    telemetry.settled(one, Settled(*head, altered={"nul": 2, "unknown_field": 1}))
    text = {
        (sample.labels["what"], sample.value)
        for metric in telemetry.registry.collect()
        for sample in metric.samples
        if sample.name == "ingest_values_altered_total"
    }
    assert text == {("nul", 2.0), ("unknown_field", 1.0)}
