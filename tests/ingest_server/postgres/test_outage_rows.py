"""A test for each row of the table in docs/outages.md: batches wait, nothing is buried, nothing is there twice, all goes on."""

import contextlib
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from tests.ingest_server.postgres.lines import line_over
from tests.ingest_server.postgres.stores import until
from tests.make import batch

BATCHES, ITEMS = 6, 20
Fault = Callable[["Place"], "contextlib.AbstractAsyncContextManager[None]"]

TABLES = "CREATE TABLE things (id int PRIMARY KEY, v text); CREATE TABLE plain (id int, v text)"
# A function of the database that fails as nothing in our table of SQLSTATEs does: 38000, external routine exception.
UNLISTED = """
CREATE FUNCTION unlisted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''false'''; RETURN NEW; END $$;
CREATE TRIGGER unlisted BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION unlisted();
CREATE TRIGGER unlisted BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION unlisted()
"""
SLOW = UNLISTED.replace("EXECUTE 'COPY (SELECT 1) TO PROGRAM ''false'''", "PERFORM pg_sleep(20)")
NOT_UNLISTED = "DROP FUNCTION unlisted() CASCADE"


class Place:
    """The test's database, a role that the line comes as, and a connection that is not ended."""

    def __init__(self, admin: asyncpg.Connection, sql: asyncpg.Connection, database: str) -> None:
        self.admin, self.sql, self.database, self.role = admin, sql, database, f"{database}_line"

    async def end_sessions(self) -> None:
        await self.admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = $2",
            *(self.database, self.role),
        )


def setting(*, on: str, off: str, ends: bool = False) -> Fault:
    """A fault that statements make and take back; `{role}` and `{database}` stand for their names."""

    @contextlib.asynccontextmanager
    async def fault(place: Place) -> AsyncIterator[None]:
        names = {"role": place.role, "database": place.database}
        await place.admin.execute(on.format(**names)) if "DATABASE" in on else await place.sql.execute(
            on.format(**names)
        )
        if ends:
            await place.end_sessions()
        yield
        await place.admin.execute(off.format(**names)) if "DATABASE" in on else await place.sql.execute(
            off.format(**names)
        )
        if ends:
            await place.end_sessions()

    return fault


@contextlib.asynccontextmanager
async def locked(place: Place) -> AsyncIterator[None]:
    async with place.sql.transaction():
        await place.sql.execute("LOCK TABLE things, plain")
        yield


@contextlib.asynccontextmanager
async def database_is_gone(place: Place) -> AsyncIterator[None]:
    await place.sql.close()
    await place.end_sessions()
    rename = "ALTER DATABASE {} RENAME TO {}"

    # Whoever connects again in between must be ended again.
    async def renamed(old: str, new: str) -> None:
        async def tried() -> bool:
            await place.admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", old)
            try:
                await place.admin.execute(rename.format(old, new))
            except asyncpg.ObjectInUseError:
                return False
            return True

        await until(tried)

    await renamed(place.database, f"{place.database}_gone")
    yield
    await renamed(f"{place.database}_gone", place.database)


ROLE = "ALTER ROLE {role} "
ROWS = {
    "55P03 lock time-out": (locked, 0.3, "ingest_retries_total"),
    "57014 statement time-out": (setting(on=SLOW, off=NOT_UNLISTED), 0.3, "ingest_retries_total"),
    "57014 an operator's statement_timeout": (
        setting(
            on=SLOW + "; " + ROLE + "SET statement_timeout = '200ms'",
            off=NOT_UNLISTED + "; " + ROLE + "RESET statement_timeout",
            ends=True,
        ),
        *(30, "ingest_retries_total"),
    ),
    "25P03 an operator's idle_in_transaction_session_timeout": (
        setting(
            on=ROLE + "SET idle_in_transaction_session_timeout = '1ms'",
            off=ROLE + "RESET idle_in_transaction_session_timeout",
            ends=True,
        ),
        *(30, None),
    ),
    "53300 too many connections": (
        setting(on=ROLE + "CONNECTION LIMIT 0", off=ROLE + "CONNECTION LIMIT -1", ends=True),
        *(30, "ingest_sink_errors_total"),
    ),
    "42P01 missing table": (
        setting(
            on="ALTER TABLE things RENAME TO a; ALTER TABLE plain RENAME TO b",
            off="ALTER TABLE a RENAME TO things; ALTER TABLE b RENAME TO plain",
        ),
        *(30, "ingest_table_probes_total"),
    ),
    "42501 missing privilege": (
        setting(on="REVOKE INSERT ON things, plain FROM {role}", off="GRANT INSERT ON things, plain TO {role}"),
        *(30, "ingest_table_probes_total"),
    ),
    "42501 the ledger's privilege": (
        setting(on="REVOKE USAGE ON SCHEMA ingest FROM {role}", off="GRANT USAGE ON SCHEMA ingest TO {role}"),
        *(30, "ingest_table_probes_total"),
    ),
    "28000 the role may not log in": (
        setting(on=ROLE + "NOLOGIN", off=ROLE + "LOGIN", ends=True),
        *(30, "ingest_table_probes_total"),
    ),
    "3D000 no such database": (database_is_gone, 30, "ingest_table_probes_total"),
    "38000 a code that is not listed": (setting(on=UNLISTED, off=NOT_UNLISTED), 30, "ingest_set_aside_total"),
}


@pytest.fixture
async def place(database: str, sql: asyncpg.Connection, postgres) -> AsyncIterator[Place]:
    admin = await asyncpg.connect(postgres.dsn)
    found = Place(admin, sql, await sql.fetchval("SELECT current_database()"))
    await sql.execute(
        f"{TABLES}; CREATE ROLE {found.role} LOGIN; GRANT USAGE ON SCHEMA ingest TO {found.role};"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ingest, public TO {found.role}"
    )
    await sql.execute(f"GRANT pg_execute_server_program TO {found.role}")
    yield found
    for name in (found.database, "postgres"):
        one = await asyncpg.connect(postgres.dsn.replace("/postgres?", f"/{name}?"))
        await one.execute(f"DROP OWNED BY {found.role} CASCADE")
        await one.close()
    await admin.execute(f"DROP ROLE {found.role}")
    await admin.close()


def some(start: int) -> list:
    return [
        batch(*({"id": (start + number) * ITEMS + more, "v": "x"} for more in range(ITEMS)), table=table)
        for number in range(BATCHES)
        for table in ("things", "plain")
    ]


@pytest.mark.parametrize("row", ROWS)
async def test_batches_wait_and_go_on_by_themselves(
    row: str, place: Place, database: str, postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, statement_seconds, sign = ROWS[row]
    monkeypatch.setattr("ingest_server.parking.parking._PROBE_SECONDS", 0.01)
    monkeypatch.setattr("ingest_server.delivery._LEAST_SECONDS", 0.01)
    async with line_over(database.replace("postgres@", f"{place.role}@"), statement_seconds=statement_seconds) as line:
        await line.put(*some(0))
        await line.drained()
        async with fault(place):
            await line.put(*some(BATCHES))

            async def struck() -> bool:
                return line.settled > 3 * BATCHES if sign is None else line.figure(sign) >= 3

            if sign is not None:
                await until(struck)
                assert line.settled == 2 * BATCHES, "nothing was settled meanwhile, and nothing was buried"
        await line.drained()
        assert line.parking.tables == {}
        assert line.figure("ingest_dead_letters_total") == 0
    check = await asyncpg.connect(database)
    for table in ("things", "plain"):
        found = await check.fetchrow(f"SELECT count(*), count(DISTINCT id) FROM {table}")
        assert tuple(found) == (2 * BATCHES * ITEMS,) * 2
    assert await check.fetchval("SELECT count(*) FROM ingest.dead_letters") == 0
    await check.close()
