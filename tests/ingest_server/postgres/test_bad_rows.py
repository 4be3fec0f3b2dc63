"""One bad item never harms its neighbours: every kind of refusal, at every place, in both ways of writing."""

import asyncpg
import pytest

from ingest_server.errors import Contended, Misconfigured
from tests.ingest_server.postgres.stores import Store, store_over
from tests.ingest_server.postgres.test_counts import counts
from tests.make import batch

THINGS = """
CREATE TYPE mood AS ENUM ('ok');
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE TABLE parents (id int PRIMARY KEY);
INSERT INTO parents VALUES (1);
CREATE TABLE things (
    id int {key},
    price numeric(6,2) NOT NULL DEFAULT 1 CONSTRAINT above_0 CHECK (price > 0),
    code text CONSTRAINT one_code UNIQUE DEFERRABLE INITIALLY DEFERRED,
    parent int CONSTRAINT has_parent REFERENCES parents DEFERRABLE INITIALLY DEFERRED,
    share percent,
    span int4range,
    small smallint,
    ratio real,
    name varchar(5),
    v text,
    big text,
    half numeric GENERATED ALWAYS AS (1 / (small + 1)) STORED,
    EXCLUDE USING gist (box(point(small, small), point(small, small)) WITH &&)
);
CREATE INDEX ON things (big);
CREATE FUNCTION no_trolls() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.v = 'troll' THEN RAISE EXCEPTION 'no trolls: %', NEW.id; END IF; RETURN NEW; END $$;
CREATE TRIGGER no_trolls BEFORE INSERT OR UPDATE ON things FOR EACH ROW EXECUTE FUNCTION no_trolls();
"""

BAD = {
    "check": ({"price": -1}, "23514", None, "above_0"),
    "unique": ({"code": "taken"}, "23505", None, "one_code"),
    "foreign key": ({"parent": 2}, "23503", None, "has_parent"),
    "domain": ({"share": 101}, "23514", None, "percent"),
    "exclusion": ({"small": 7}, "23P01", None, "things"),
    "numeric": ({"price": "10000.00"}, "22003", None, "out of the column's range"),
    "trigger": ({"v": "troll"}, "P0001", None, "trigger"),
    "generated": ({"small": -1}, "22012", None, "DivisionByZero"),
    "index row": ({"big": "incompressible"}, "54000", None, "larger than one row may be"),
    "type": ({"small": "x"}, "invalid", "small", "valid integer"),
    "too long": ({"name": "longer"}, "invalid", "name", "at most 5"),
    "nul": ({"v": "\0"}, "invalid", "v", "NUL"),
    "no column": ({"nope": 1}, "invalid", "nope", "no such column"),
}
PLACES = {"first": {0}, "middle": {20}, "last": {39}, "every second": set(range(0, 40, 2)), "all": set(range(40))}


@pytest.fixture(params=["", "PRIMARY KEY"], ids=["append", "upsert"])
async def things(request: pytest.FixtureRequest, sql: asyncpg.Connection) -> None:
    await sql.execute(THINGS.format(key=request.param))
    await sql.execute("INSERT INTO things (id, code, small) VALUES (-1, 'taken', 7)")


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", BAD)
async def test_neighbours_are_committed_and_the_bad_ones_are_dead_letters(
    store: Store, sql: asyncpg.Connection, kind: str, place: str
) -> None:
    wrong, code, column, words = BAD[kind]
    if kind == "index row":
        import random

        wrong = {"big": random.Random(1).randbytes(20_000).hex()}
    bad = PLACES[place]
    items = [{"id": number, "v": "good"} | (wrong if number in bad else {}) for number in range(40)]
    settled = await store.write(batch(*items))
    assert counts(settled) == (40 - len(bad), 0, 0, len(bad))
    assert {buried.refusal.index for buried in settled.errors} == bad
    for buried in settled.errors:
        assert buried.refusal.code == code
        assert words in buried.refusal.message
        assert column is None or buried.refusal.column == column
    stored = {row["id"] for row in await sql.fetch("SELECT id FROM things WHERE id >= 0")}
    assert stored == set(range(40)) - bad
    letters = await sql.fetch("SELECT index, raw FROM ingest.dead_letters ORDER BY index")
    assert [row["index"] for row in letters] == sorted(bad)
    assert all(f'"id":{row["index"]},'.encode() in row["raw"] for row in letters)


@pytest.mark.usefixtures("things")
async def test_many_kinds_at_once(store: Store, sql: asyncpg.Connection) -> None:
    items: list[dict[str, object]] = []
    for number, (wrong, *_) in enumerate(BAD.values()):
        items += [{"id": 10 * number}, {"id": 10 * number + 1} | wrong, {"id": 10 * number + 2, "price": 2}]
    settled = await store.write(batch(*items))
    expected = {3 * number + 1 for number in range(len(BAD)) if list(BAD)[number] != "index row"}
    assert {buried.refusal.index for buried in settled.errors} == expected


async def test_the_next_item_of_a_key_wins_where_the_winner_is_refused(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY, price int CHECK (price > 0))")
    settled = await store.write(
        batch(
            {"id": 1, "price": 1}, {"id": 1, "price": 2}, {"id": 1, "price": -1}, {"id": 1, "price": -2},
            {"id": 2, "price": -1}, {"id": 3, "price": 5},
        )
    )  # fmt: skip
    assert counts(settled) == (2, 0, 1, 3)
    assert [buried.refusal.index for buried in settled.errors] == [2, 3, 4]
    assert [tuple(row) for row in await sql.fetch("SELECT * FROM things ORDER BY id")] == [(1, 2), (3, 5)]


async def test_a_duplicate_of_a_refused_row_is_written(store: Store, sql: asyncpg.Connection) -> None:
    """Appended to a table with a unique column: item 1 is a duplicate of item 0, which has no parent."""
    await sql.execute(
        "CREATE TABLE parents (id int PRIMARY KEY); INSERT INTO parents VALUES (1);"
        "CREATE TABLE things (a int UNIQUE, parent int REFERENCES parents)"
    )
    settled = await store.write(batch({"a": 1, "parent": 2}, {"a": 1, "parent": 1}, {"a": 2, "parent": 1}))
    assert counts(settled) == (2, 0, 0, 1)
    assert [buried.refusal.index for buried in settled.errors] == [0]


class TestStrict:
    async def test_all_or_none(self, store: Store, sql: asyncpg.Connection) -> None:
        await sql.execute("CREATE TABLE things (id int PRIMARY KEY, price int CHECK (price > 0))")
        settled = await store.write(batch({"id": 1}, {"id": 2, "price": -1}, {"id": 3}, strict=True))
        assert counts(settled) == (0, 0, 0, 3)
        assert [buried.refusal.code for buried in settled.errors] == ["strict", "23514", "strict"]
        assert await sql.fetchval("SELECT count(*) FROM things") == 0
        assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == 3
        assert counts(await store.write(batch({"id": 1}, {"id": 3}, strict=True))) == (2, 0, 0, 0)

    async def test_what_validation_finds_refuses_all(self, store: Store, sql: asyncpg.Connection) -> None:
        await sql.execute("CREATE TABLE things (id int)")
        settled = await store.write(batch({"id": 1}, {"id": "x"}, strict=True))
        assert [buried.refusal.code for buried in settled.errors] == ["strict", "invalid"]


class TestTimeLimit:
    SLOW = """
        CREATE TABLE things (id int {key}, v text);
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION slow();
    """

    @pytest.mark.parametrize("key", ["", "PRIMARY KEY"])
    async def test_a_slow_statement_is_halved_and_nothing_is_buried(
        self, database: str, sql: asyncpg.Connection, key: str
    ) -> None:
        await sql.execute(self.SLOW.format(key=key, seconds=0.01))
        async with store_over(database, statement_seconds=0.3) as store:
            settled = await store.write(batch(*({"id": number} for number in range(60)), {"id": 0, "v": "last"}))
        assert counts(settled) == ((61, 0, 0, 0) if not key else (60, 0, 1, 0))

    async def test_a_single_item_that_is_too_slow_waits(self, database: str, sql: asyncpg.Connection) -> None:
        await sql.execute(self.SLOW.format(key="", seconds=5))
        async with store_over(database, statement_seconds=0.1) as store:
            with pytest.raises(Contended, match="57014"):
                await store.write(batch({"id": 1}, {"id": 2}))
        assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == 0

    async def test_the_operator_s_tighter_limit_stands(self, database: str, sql: asyncpg.Connection) -> None:
        name = await sql.fetchval("SELECT current_database()")
        async with store_over(database, statement_seconds=60) as store, store.pool.acquire() as one:
            assert await one.fetchval("SHOW statement_timeout") == "1min"
            assert await one.fetchval("SHOW lock_timeout") == "30s"
        await sql.execute(f"ALTER DATABASE {name} SET statement_timeout = '2s'")
        async with store_over(database, statement_seconds=60) as store, store.pool.acquire() as one:
            assert await one.fetchval("SHOW statement_timeout") == "2s"


async def test_a_sequence_at_its_end_buries_nothing(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE SEQUENCE s MAXVALUE 2; CREATE TABLE things (id int DEFAULT nextval('s'), v text)")
    await store.write(batch({"v": "a"}, {"v": "b"}))
    one = batch({"v": "c"})
    with pytest.raises(Misconfigured, match="2200H"):
        await store.write(one)
    await sql.execute("ALTER SEQUENCE s MAXVALUE 9")
    assert counts(await store.write(one)) == (1, 0, 0, 0)


async def test_an_unknown_error_is_not_taken_for_data(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("""
        CREATE TABLE things (id int);
        CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'odd' USING ERRCODE = 'ZZ123'; END $$;
        CREATE TRIGGER odd BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION odd();
    """)
    with pytest.raises(asyncpg.PostgresError, match="odd"):
        await store.write(batch({"id": 1}))
    assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == 0


async def test_a_poisoned_name_of_a_field_does_not_stop_its_batch(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int)")
    settled = await store.write(batch(b'{"id":1,"a\\u0000b":1}', {"id": 2}))
    assert counts(settled) == (1, 0, 0, 1)
    assert await sql.fetchval('SELECT "column" FROM ingest.dead_letters') == "a\N{REPLACEMENT CHARACTER}b"
