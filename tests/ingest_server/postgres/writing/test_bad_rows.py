"""One bad item never harms its neighbours: every kind of refusal, at every place, in every write mode."""

import random

import asyncpg
import pytest

from ingest_server.errors import Contended, Misconfigured
from ingest_server.model import Merge, Mode, TableOptions
from tests.ingest_server.postgres.stores import Store, counts, store_over
from tests.make import batch

THINGS = """
CREATE TYPE mood AS ENUM ('ok');
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE TABLE parents (id int PRIMARY KEY);
INSERT INTO parents VALUES (1);
CREATE TABLE things (
    id int {key},
    at int,
    note text,
    price numeric(6,2) NOT NULL DEFAULT 1 CONSTRAINT above_0 CHECK (price > 0),
    code text CONSTRAINT one_code UNIQUE DEFERRABLE INITIALLY DEFERRED,
    parent int CONSTRAINT has_parent REFERENCES parents DEFERRABLE INITIALLY DEFERRED,
    share percent,
    span int4range,
    mood mood,
    small smallint,
    ratio real,
    name varchar(5),
    must int NOT NULL,
    v text,
    low int,
    high int,
    big text,
    plain text,
    half numeric GENERATED ALWAYS AS (1 / (small + 1)) STORED,
    CONSTRAINT in_order CHECK (low <= high),
    CONSTRAINT apart EXCLUDE USING gist (box(point(small, small), point(small, small)) WITH &&)
);
ALTER TABLE things ALTER plain SET STORAGE PLAIN;
CREATE UNIQUE INDEX by_name ON things (lower(name)) WHERE name IS NOT NULL;
CREATE INDEX by_big ON things (big);
CREATE FUNCTION no_trolls() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.v LIKE 'raises %' THEN
        RAISE EXCEPTION 'no trolls: %', NEW.note USING ERRCODE = substr(NEW.v, 8), COLUMN = 'v';
    END IF;
    IF NEW.v = 'forgets' THEN NEW.must = NULL; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER no_trolls BEFORE INSERT OR UPDATE ON things FOR EACH ROW EXECUTE FUNCTION no_trolls();
CREATE FUNCTION no_late_trolls() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.v = 'late troll' THEN RAISE EXCEPTION 'no trolls: %', NEW.note; END IF; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER no_late_trolls AFTER INSERT OR UPDATE ON things DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION no_late_trolls();
"""
LARGE = random.Random(1).randbytes(20_000).hex()

# What is wrong with an item; its letter's code, column and a word of its reason.
BAD: dict[str, tuple[dict[str, object], str, str | None, str]] = {
    "check": ({"price": -1}, "23514", "price", "above_0"),
    "check of two columns": ({"low": 2, "high": 1}, "23514", "low, high", "in_order"),
    "unique": ({"code": "taken"}, "23505", "code", "one_code"),
    "unique index": ({"name": "TAKEN"}, "23505", "name", "by_name"),
    "foreign key": ({"parent": 2}, "23503", "parent", "has_parent"),
    "domain": ({"share": 101}, "23514", "share", "percent"),
    "exclusion": ({"small": 7}, "23P01", "small", "apart"),
    "numeric overflow": ({"price": "10000.00"}, "22003", "price", "out of the column's range"),
    "not null": ({"must": None}, "invalid", "must", "NOT NULL"),
    "not null by a trigger": ({"v": "forgets"}, "23502", "must", "NOT NULL"),
    "trigger": ({"v": "raises P0001"}, "P0001", "v", "trigger"),
    "trigger, a check's code": ({"v": "raises 23514"}, "23514", "v", "trigger"),
    "trigger, a code of its own": ({"v": "raises ZZ123"}, "ZZ123", "v", "trigger"),
    "trigger, a missing right's code": ({"v": "raises 42501"}, "42501", "v", "trigger"),
    "trigger, a changed shape's code": ({"v": "raises 42P01"}, "42P01", "v", "trigger"),
    "deferred trigger": ({"v": "late troll"}, "P0001", None, "trigger"),
    "generated": ({"small": -1}, "22012", None, "DivisionByZero"),
    "row too big": ({"plain": LARGE[:9000]}, "54000", None, "larger than one row may be"),
    "index row too big": ({"big": LARGE[:5000]}, "54000", "big", "larger than one row may be"),
    "index row far too big": ({"big": LARGE}, "54000", None, "larger than one row may be"),
    "type": ({"small": "x"}, "invalid", "small", "valid integer"),
    "type, by PostgreSQL": ({"span": "[9,1)"}, "22000", "span", "PostgreSQL"),
    "enum": ({"mood": "bad"}, "invalid", "mood", "'ok'"),
    "too long": ({"name": "longer"}, "invalid", "name", "at most 5"),
    "integer overflow": ({"small": 40_000}, "invalid", "small", "less than or equal"),
    "nul": ({"v": "\0"}, "invalid", "v", "NUL"),
    "no column": ({"nope": 1}, "invalid", "nope", "no such column"),
}
PLACES = {"first": {0}, "middle": {6}, "last": {11}, "every second": set(range(0, 12, 2)), "all": set(range(12))}
MODES = {
    "append": TableOptions(Mode.APPEND),
    "upsert": TableOptions(Mode.UPSERT),
    "newest_by": TableOptions(Mode.UPSERT, newest_by="at"),
    "patch": TableOptions(Mode.UPSERT, merge=Merge.PATCH),
    "patch, newest_by": TableOptions(Mode.UPSERT, newest_by="at", merge=Merge.PATCH),
    "ignore": TableOptions(Mode.IGNORE),
}


@pytest.fixture(params=MODES)
async def mode(request: pytest.FixtureRequest, sql: asyncpg.Connection) -> str:
    await sql.execute(THINGS.format(key="" if request.param == "append" else "PRIMARY KEY"))
    return str(request.param)


def items_with(wrong: dict[str, object], bad: set[int]) -> list[dict[str, object]]:
    good = [{"id": number, "at": number, "note": "SECRET", "must": 1, "v": "good"} for number in range(12)]
    return [item | (wrong if number in bad else {}) for number, item in enumerate(good)]


@pytest.mark.parametrize("place", PLACES)
async def test_neighbours_are_committed_and_the_bad_ones_are_dead_letters(
    database: str, sql: asyncpg.Connection, mode: str, place: str
) -> None:
    bad = PLACES[place]
    # Where rows are replaced or patched, half of them are there already, so that both ways of writing meet bad items.
    there = set() if mode in ("append", "ignore") else {1, 2, 5, 6, 10, 11}
    async with store_over(database, options={"things": MODES[mode]}) as store:
        for kind, (wrong, code, column, words) in BAD.items():
            await sql.execute("DELETE FROM things; DELETE FROM ingest.dead_letters")
            await sql.execute("INSERT INTO things (id, code, small, name, must) VALUES (-1, 'taken', 7, 'taken', 1)")
            await sql.execute("INSERT INTO things (id, must) SELECT unnest($1::int[]), 1", there)
            settled = await store.write(batch(*items_with(wrong, bad)))
            assert counts(settled) == (12 - len(bad | there), len(there - bad), 0, len(bad)), kind
            refusals = [buried.refusal for buried in settled.errors]
            assert [refusal.index for refusal in refusals] == sorted(bad), kind
            assert {(refusal.code, refusal.column) for refusal in refusals} == {(code, column)}, kind
            assert all(words in refusal.message and "SECRET" not in refusal.message for refusal in refusals), kind
            stored = {row["id"] for row in await sql.fetch("SELECT id FROM things WHERE v = 'good'")}
            assert stored == set(range(12)) - bad, kind
            letters = await sql.fetch('SELECT index, code, "column", raw FROM ingest.dead_letters ORDER BY index')
            assert [row["index"] for row in letters] == sorted(bad), kind
            assert {(row["code"], row["column"]) for row in letters} == {(code, column)}, kind
            assert all(f'"id":{row["index"]},'.encode() in row["raw"] for row in letters), kind


async def test_many_kinds_at_once(database: str, mode: str) -> None:
    items: list[dict[str, object]] = []
    for number, (wrong, *_) in enumerate(BAD.values()):
        items += [{"id": 10 * number + place, "must": 1} for place in range(3)]
        items[-2] |= wrong
    async with store_over(database, options={"things": MODES[mode]}) as store:
        # nothing is taken yet: of these three the one item of the batch is good
        settled = await store.write(batch(*items))
    good = {"unique", "unique index", "exclusion"}
    expected = {3 * number + 1 for number, kind in enumerate(BAD) if kind not in good}
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


async def test_a_duplicate_of_a_refused_row_is_written(database: str, sql: asyncpg.Connection) -> None:
    """Appended to a table with a unique column: item 1 is a duplicate of item 0, which has no parent."""
    await sql.execute(
        "CREATE TABLE parents (id int PRIMARY KEY); INSERT INTO parents VALUES (1);"
        "CREATE TABLE things (a int UNIQUE, parent int REFERENCES parents)"
    )
    async with store_over(database, options={"things": TableOptions(Mode.APPEND)}) as store:
        settled = await store.write(batch({"a": 1, "parent": 2}, {"a": 1, "parent": 1}, {"a": 2, "parent": 1}))
    assert counts(settled) == (2, 0, 0, 1)
    assert [buried.refusal.index for buried in settled.errors] == [0]


@pytest.mark.parametrize("mode", ["append", "upsert", "patch", "ignore"])
@pytest.mark.parametrize("key", ["id int PRIMARY KEY", "id int PRIMARY KEY, more text DEFAULT 'm'"])
async def test_a_row_that_needs_a_later_one_of_its_batch_is_written_though_another_is_bad(
    database: str, sql: asyncpg.Connection, mode: str, key: str
) -> None:
    await sql.execute(
        f"CREATE TABLE things ({key}, parent int REFERENCES things DEFERRABLE INITIALLY DEFERRED, v text CHECK (v <> 'bad'))"
    )
    items: list[dict[str, object]] = [{"id": n, "parent": n + 1, "v": "good"} for n in range(9)]
    items += [{"id": 9, "v": "good"}, {"id": 20, "v": "bad"}, {"id": 21, "parent": 99}, {"id": 22, "parent": 21}]
    if "more" in key:
        items = [item | ({"more": "x"} if n % 3 else {}) for n, item in enumerate(items)]
    async with store_over(database, options={"things": MODES[mode]}) as store:
        settled = await store.write(batch(*items))
    assert [(one.refusal.index, one.refusal.code) for one in settled.errors] == [
        (10, "23514"),
        (11, "23503"),
        (12, "23503"),
    ]
    assert counts(settled) == (10, 0, 0, 3)


async def test_an_orphan_whose_key_another_item_has_is_not_tried_again(database: str, sql: asyncpg.Connection) -> None:
    """Which of them is newer is decided by then. Patches of one key are looked at one by one after all others anyway."""
    await sql.execute(
        "CREATE TABLE things (id int PRIMARY KEY, parent int REFERENCES things, v text CHECK (v <> 'bad'))"
    )
    items: list[dict[str, object]] = [{"id": 1, "v": "first"}, {"id": 1, "parent": 2, "v": "second"}]
    items += [{"id": 9, "v": "bad"}, {"id": 2, "v": "good"}]
    async with store_over(database, options={"things": MODES["upsert"]}) as store:
        settled = await store.write(batch(*items))
        assert [(one.refusal.index, one.refusal.code) for one in settled.errors] == [(1, "23503"), (2, "23514")]
        assert counts(settled) == (2, 0, 0, 2)
        assert await sql.fetchval("SELECT v FROM things WHERE id = 1") == "first"
    await sql.execute("DELETE FROM things")
    async with store_over(database, options={"things": MODES["patch"]}) as store:
        assert counts(await store.write(batch(*items))) == (2, 0, 1, 1)
        assert await sql.fetchval("SELECT v FROM things WHERE id = 1") == "second"


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

    @pytest.mark.parametrize("mode", ["append", "upsert", "patch", "ignore"])
    async def test_a_slow_statement_is_halved_and_nothing_is_buried(
        self, database: str, sql: asyncpg.Connection, mode: str
    ) -> None:
        await sql.execute(self.SLOW.format(key="" if mode == "append" else "PRIMARY KEY", seconds=0.01))
        options = {"things": MODES[mode]}
        items = [{"id": number} for number in range(30)]
        async with store_over(database, statement_seconds=0.2, options=options) as store:
            settled = await store.write(batch(*items, {"id": 0, "v": "last"}))
        assert counts(settled) == ((31, 0, 0, 0) if mode == "append" else (30, 0, 1, 0))

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
    """A trigger that forgets its RETURN: 2F005, which no row is to blame for."""
    await sql.execute("""
        CREATE TABLE things (id int);
        CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
        CREATE TRIGGER odd BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION odd();
    """)
    with pytest.raises(asyncpg.PostgresError, match="without RETURN"):
        await store.write(batch({"id": 1}))
    assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == 0


@pytest.mark.parametrize("code", ["40001", "08006", "53100", "57014", "25006"])
async def test_a_trigger_that_says_try_again_is_believed_and_stops_only_its_batch(
    store: Store, sql: asyncpg.Connection, code: str
) -> None:
    await sql.execute(f"""
        CREATE TABLE things (id int);
        CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'SECRET' USING ERRCODE = '{code}'; END $$;
        CREATE TRIGGER busy BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION busy();
    """)
    with pytest.raises(Contended, match=code) as raised:
        await store.write(batch({"id": 1}))
    assert "SECRET" not in str(raised.value)
    assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == 0


async def test_a_row_that_a_policy_refuses_is_buried_and_a_missing_privilege_is_not(
    database: str, sql: asyncpg.Connection
) -> None:
    """Both are 42501."""
    role = f"writer_{await sql.fetchval('SELECT current_database()')}"
    await sql.execute(f"""
        CREATE ROLE {role} LOGIN;
        CREATE TABLE things (id int PRIMARY KEY, shop text);
        ALTER TABLE things ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON things USING (shop = 'own');
        GRANT USAGE ON SCHEMA ingest TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA ingest TO {role};
    """)
    try:
        async with store_over(database.replace("postgres@", f"{role}@")) as store:
            one = batch({"id": 1, "shop": "own"}, {"id": 2, "shop": "other"}, {"id": 3, "shop": "own"})
            with pytest.raises(Misconfigured, match="42501"):
                await store.write(one)
            await sql.execute(f"GRANT SELECT, INSERT, UPDATE ON things TO {role}")
            settled = await store.write(one)
            assert counts(settled) == (2, 0, 0, 1)
            assert (settled.errors[0].refusal.index, settled.errors[0].refusal.code) == (1, "42501")
            assert "policy" in settled.errors[0].refusal.message
    finally:
        await sql.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_poisoned_name_of_a_field_does_not_stop_its_batch(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int)")
    settled = await store.write(batch(b'{"id":1,"a\\u0000b":1}', {"id": 2}))
    assert counts(settled) == (1, 0, 0, 1)
    assert await sql.fetchval('SELECT "column" FROM ingest.dead_letters') == "a\N{REPLACEMENT CHARACTER}b"
