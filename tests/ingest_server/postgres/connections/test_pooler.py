"""What PgBouncer in transaction mode needs: between two transactions a session may go to somebody else."""

import asyncpg
import pytest

from ingest_server.model import Mode, TableOptions
from ingest_server.postgres.connections.pool import connection
from ingest_server.postgres.ledger.ledger import PostgresLedger
from ingest_server.postgres.ledger.parked import PostgresParkedTables
from tests.ingest_server.postgres.stores import counts, store_over
from tests.make import NOON, batch

# What was prepared, made or set in this session and is still there; SELECTs as one simple message prepare nothing.
LEFT = {
    "a prepared statement": "SELECT count(*) FROM pg_prepared_statements",
    "a temporary table": "SELECT count(*) FROM pg_class WHERE relpersistence = 't'",
    "a setting": "SELECT count(*) FROM pg_settings WHERE source = 'session' AND setting <> reset_val",
    "a lock": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
}


async def is_so(one: asyncpg.Connection, question: str) -> bool:
    """Ask by an error, for an answer would have to be prepared."""
    try:
        await one.execute(f"DO $$ BEGIN IF ({question}) > 0 THEN RAISE 'it is'; END IF; END $$")
    except asyncpg.RaiseError:
        return True
    return False


@pytest.mark.parametrize("pooler", [True, False], ids=["pooler", "session"])
async def test_nothing_outlasts_a_transaction(database: str, sql: asyncpg.Connection, pooler: bool) -> None:
    await sql.execute(
        "CREATE TABLE things (id int PRIMARY KEY, v text CHECK (v <> 'bad')); CREATE TABLE plain (id int)"
    )
    options = {"things": TableOptions(mode=Mode.UPSERT)}
    async with store_over(database, size=1, pooler=pooler, options=options) as store:
        assert counts(await store.write(batch({"id": 1, "v": "a"}, {"id": 2, "v": "bad"}))) == (1, 0, 0, 1)
        assert counts(await store.write(batch({"id": 1, "v": "b"}, {"id": 3, "v": "c"}))) == (1, 1, 0, 0)
        assert counts(await store.write(batch({"id": 1}, table="plain"))) == (1, 0, 0, 0)
        await store.sink.ping()
        await store.sink.tables()
        ledger = PostgresLedger(store.pool, lambda: NOON)
        assert await ledger.crawl("", "nobody", ()) is None
        assert await PostgresParkedTables(store.pool).parked() == []
        async with connection(store.pool) as one:
            left = {what for what, question in LEFT.items() if await is_so(one, question)}
    if pooler:
        assert left == set()
    else:
        assert left >= {"a prepared statement", "a temporary table", "a setting"}, "the test sees what there is"


async def test_limits_hold_in_every_transaction(database: str, sql: asyncpg.Connection) -> None:
    name = await sql.fetchval("SELECT current_database()")
    await sql.execute(f"ALTER DATABASE {name} SET lock_timeout = '3s'")
    async with store_over(database, pooler=True, statement_seconds=20) as store, connection(store.pool) as one:
        assert await one.fetchval("SHOW statement_timeout") == "20s"
        assert await one.fetchval("SHOW lock_timeout") == "3s", "an operator's own limit stands where it is tighter"
        assert await one.fetchval("SHOW idle_in_transaction_session_timeout") == "30s"
        await one.execute("SELECT 1")
        assert (await one.fetchrow("SELECT 1"))[0] == 1
        with pytest.raises(asyncpg.PostgresError):
            await one.fetchval("SELECT 1/0")
        assert not one.is_in_transaction()
