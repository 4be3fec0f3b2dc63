"""An outage makes batches wait: nothing is lost, nothing is buried, nothing is stored twice, and work goes on by itself."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator

import asyncpg
import pytest

from ingest_server.errors import Contended, Misconfigured, Unavailable
from ingest_server.postgres.connections import pool
from ingest_server.postgres.connections.pool import connection, pool_until_done
from ingest_server.postgres.embedded.embedded import EmbeddedPostgres, temporary_postgres
from ingest_server.postgres.ledger.schema import migrate
from tests.ingest_server.postgres.stores import Store, counts, frozen, name, store_over, until, waits_for_lock
from tests.make import batch


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A server of this test's own, to be stopped."""
    with temporary_postgres() as server:
        yield server


def control(server: EmbeddedPostgres, *words: str) -> None:
    """pg_ctl as the account that owns the data."""
    owner = server.data.stat()
    account = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    subprocess.run(
        [
            server.program_directory / "pg_ctl",
            *words,
            "-w",
            "-D",
            str(server.data),
            "-l",
            str(server.data / "server.log"),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        **account,
    )


@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_postgresql_stops_and_starts_while_batches_are_delivered(
    own_postgres: EmbeddedPostgres, how: str
) -> None:
    admin = await asyncpg.connect(own_postgres.dsn)
    await migrate(admin)
    await admin.execute("CREATE TABLE things (id int PRIMARY KEY, v text); CREATE TABLE plain (id int, v text)")
    await admin.close()
    options = (own_postgres.data / "postmaster.opts").read_text().split(" ", 1)[1].strip()
    left = [
        batch(*({"id": number * 100 + more, "v": "x" * 500} for more in range(100)), table=table)
        for number in range(150)
        for table in ("things", "plain")
    ]
    all_of_them = len(left)
    settled = outages = 0
    async with store_over(own_postgres.dsn) as store:

        async def work() -> None:
            nonlocal settled, outages
            while left:
                one = left.pop()
                while True:
                    try:
                        assert counts(await store.write(one)) == (100, 0, 0, 0)
                        break
                    except Unavailable:
                        outages += 1
                        await asyncio.sleep(0)
                settled += 1

        async def stop_and_start() -> None:
            for share in (0.2, 0.6):
                await until(lambda share=share: _reached(share * all_of_them))
                await asyncio.to_thread(control, own_postgres, "stop", "-m", how)
                await asyncio.to_thread(control, own_postgres, "start", "-o", options)

        async def _reached(count: float) -> bool:
            return settled >= count

        await asyncio.gather(stop_and_start(), *(work() for _ in range(4)))
        assert outages
        async with store.pool.acquire() as one:
            for table in ("things", "plain"):
                assert await one.fetchval(f"SELECT count(*) FROM {table}") == 15_000
            assert await one.fetchval("SELECT count(DISTINCT id) FROM plain") == 15_000
            assert await one.fetchval("SELECT count(*) FROM ingest.batches") == all_of_them
            assert await one.fetchval("SELECT count(*) FROM ingest.dead_letters") == 0


@pytest.mark.parametrize("key", ["", "PRIMARY KEY"])
async def test_backends_are_terminated_again_and_again(database: str, sql: asyncpg.Connection, key: str) -> None:
    await sql.execute(f"CREATE TABLE things (id int {key}, v text)")
    left = [batch(*({"id": number * 200 + more, "v": "x" * 300} for more in range(200))) for number in range(100)]
    done = killed = 0
    async with store_over(database) as store:

        async def work() -> None:
            nonlocal done
            while left:
                one = left.pop()
                while True:
                    try:
                        assert counts(await store.write(one)) == (200, 0, 0, 0)
                        break
                    except Unavailable:
                        await asyncio.sleep(0)
                done += 1

        async def kill() -> None:
            nonlocal killed
            while done < 95:
                killed += await sql.fetchval(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND application_name = 'ingest-server' AND state <> 'idle'"
                )
                target = done + 5
                await until(lambda target=target: _reached(min(target, 100)))

        async def _reached(count: int) -> bool:
            return done >= count

        await asyncio.gather(kill(), *(work() for _ in range(4)))
    assert killed
    assert await sql.fetchval("SELECT count(*) FROM things") == 20_000
    assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == 0


async def test_a_read_only_database_is_an_outage(database: str, sql: asyncpg.Connection) -> None:
    """As a primary that became a standby: the session's default does not matter, the transaction's own mode does."""
    await sql.execute("CREATE TABLE things (id int)")
    name = await sql.fetchval("SELECT current_database()")
    await sql.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    async with store_over(database) as store:
        assert counts(await store.write(batch({"id": 1}))) == (1, 0, 0, 0)
    await sql.execute("""
        CREATE FUNCTION standby() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN SET LOCAL transaction_read_only = on; CREATE TABLE nope (); RETURN NEW; END $$;
        CREATE TRIGGER standby BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION standby()
    """)
    async with store_over(database) as store:
        with pytest.raises(Unavailable, match="25006"):
            await store.write(batch({"id": 2}))
    await sql.execute("DROP TRIGGER standby ON things")
    assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == 0


async def test_a_lock_that_is_held_is_waited_for_and_then_given_back(database: str, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY)")
    one = batch({"id": 1}, {"id": 2})
    async with store_over(database, statement_seconds=0.4) as store:
        async with sql.transaction():
            await sql.execute("LOCK TABLE things")
            with pytest.raises(Contended, match="55P03"):
                await store.write(one)
        async with sql.transaction():
            await sql.execute("INSERT INTO things VALUES (1)")
            with pytest.raises(Contended, match="55P03"):
                await store.write(one)
        assert counts(await store.write(one)) == (1, 0, 1, 0)


async def test_a_transaction_that_fell_silent_does_not_hold_its_batch_for_ever(
    database: str, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a server leaves it that lost its network in the middle: PostgreSQL never hears that it is gone."""
    monkeypatch.setattr(pool, "_SILENT_SECONDS", 0.1)
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY)")
    one = batch({"id": 1})
    async with store_over(database, statement_seconds=0.4) as silent, store_over(database) as other:
        gone = await silent.pool.acquire()
        await gone.execute("BEGIN; INSERT INTO things VALUES (1)")
        assert counts(await other.write(one)) == (1, 0, 0, 0)


async def test_the_loser_of_a_deadlock_comes_again(database: str, sql: asyncpg.Connection) -> None:
    name = await sql.fetchval("SELECT current_database()")
    await sql.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '10ms'")
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY, v text); INSERT INTO things VALUES (1), (2)")
    other = await asyncpg.connect(database)
    await other.execute("SET deadlock_timeout = '1h'")
    one = batch({"id": 1, "v": "a"}, {"id": 2, "v": "b"})
    async with store_over(database) as store:
        async with other.transaction():
            await other.execute("UPDATE things SET v = 'x' WHERE id = 2")
            writing = asyncio.ensure_future(store.write(one))
            await waits_for_lock(sql)
            updating = asyncio.ensure_future(other.execute("UPDATE things SET v = 'x' WHERE id = 1"))
            with pytest.raises(Contended, match="40P01"):
                await writing
            await updating
        assert counts(await store.write(one)) == (0, 2, 0, 0)
    await other.close()


async def test_a_privilege_that_is_missing_parks_and_goes_on_once_granted(
    database: str, sql: asyncpg.Connection
) -> None:
    name = await sql.fetchval("SELECT current_database()")
    role = f"{name}_role"
    await sql.execute(
        f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA ingest TO {role}; "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ingest TO {role};"
        "CREATE TABLE things (id int PRIMARY KEY)"
    )
    one = batch({"id": 1})
    try:
        async with store_over(database.replace("postgres@", f"{role}@")) as store:
            with pytest.raises(Misconfigured, match="42501"):
                await store.write(one)
            await sql.execute(f"GRANT SELECT, INSERT, UPDATE ON things TO {role}")
            assert counts(await store.write(one)) == (1, 0, 0, 0)
    finally:
        await sql.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_role_or_database_that_is_not_there_is_told(database: str) -> None:
    async with store_over(database.replace("postgres@", "nobody_of_this_name@")) as store:
        with pytest.raises(Misconfigured, match="28000"):
            await store.sink.ping()
    async with store_over(database.replace("/test_", "/no_such_")) as store:
        with pytest.raises(Misconfigured, match="3D000"):
            await store.sink.ping()


async def test_too_many_connections_are_an_outage(database: str, sql: asyncpg.Connection) -> None:
    name = await sql.fetchval("SELECT current_database()")
    await sql.execute(f"CREATE ROLE {name}_few LOGIN CONNECTION LIMIT 0")
    async with store_over(database.replace("postgres@", f"{name}_few@")) as store:
        with pytest.raises(Unavailable, match="53300"):
            await store.sink.ping()
    await sql.execute(f"DROP ROLE {name}_few")


async def test_a_known_table_is_known_while_postgresql_is_away(own_postgres: EmbeddedPostgres) -> None:
    admin = await asyncpg.connect(own_postgres.dsn)
    await migrate(admin)
    await admin.execute("CREATE TABLE things (id int PRIMARY KEY)")
    await admin.close()
    clock = [0.0]
    async with store_over(own_postgres.dsn) as store:
        store.plans._clock = lambda: clock[0]
        one = batch({"id": 1})
        assert await store.sink.spec(one.table) is not None
        control(own_postgres, "stop", "-m", "fast")
        assert await store.sink.spec(one.table) is not None
        clock[0] = 3600
        assert await store.sink.spec(one.table) is not None
        with pytest.raises(Unavailable):
            await store.sink.spec(batch(table="other").table)
        with pytest.raises(Unavailable):
            await store.write(one)


async def test_a_store_has_no_more_connections_than_it_may(store: Store, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY)")
    await asyncio.gather(*(store.write(batch({"id": number})) for number in range(40)))
    assert store.pool.get_size() == 4
    found = await sql.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'ingest-server'"
    )
    assert found == 4


async def test_a_session_that_fails_in_a_way_nobody_knows_is_not_used_again(database: str) -> None:
    """A cancel at a bad moment leaves a temporary table broken for its session (XX001): the next one has its own."""
    async with store_over(database, size=1) as store:

        async def break_it() -> None:
            async with connection(store.pool) as one:
                pids.append(one.get_server_pid())
                await one.execute("COPY (SELECT 1) TO PROGRAM 'false'")  # 38000: nobody has listed it

        pids: list[int] = []
        with pytest.raises(asyncpg.PostgresError):
            await break_it()
        async with connection(store.pool) as one:
            assert one.get_server_pid() not in pids
            with pytest.raises(asyncpg.PostgresError):
                await one.execute("SELECT 1/0")
            second = one.get_server_pid()
        async with connection(store.pool) as one:
            assert one.get_server_pid() == second, "an error of the data says nothing against the session"


async def test_a_view_is_no_place_for_a_landing_table(database: str, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE VIEW things AS SELECT 1 AS one")
    async with store_over(database, create_tables=True) as store:
        assert await store.sink.spec(name("things")) is None
        with pytest.raises(Misconfigured, match="a view of that name is no table"):
            await store.write(batch({"a": 1}))


async def test_whoever_gives_up_on_a_frozen_postgresql_is_let_go_at_once(own_postgres: EmbeddedPostgres) -> None:
    async with pool_until_done(own_postgres.dsn, size=2, statement_seconds=600) as busy:
        async with connection(busy) as one:
            await one.fetchval("SELECT 1")
        with frozen(own_postgres):
            async with asyncio.timeout(10):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1), connection(busy) as one:
                        await one.fetchval("SELECT 2")
        async with connection(busy) as one:
            assert await one.fetchval("SELECT 3") == 3


async def test_a_pool_ends_although_postgresql_is_frozen(own_postgres: EmbeddedPostgres, monkeypatch) -> None:
    monkeypatch.setattr(pool, "_CLOSE_SECONDS", 0.1)
    async with asyncio.timeout(20), contextlib.AsyncExitStack() as stack:
        idle = await stack.enter_async_context(pool_until_done(own_postgres.dsn, size=1, statement_seconds=600))
        async with connection(idle) as one:
            await one.fetchval("SELECT 1")
        with frozen(own_postgres):
            await stack.aclose()
    assert idle.is_closing()
