"""The database's side of security: the documented role runs the server, needs each privilege, and migrations happen once."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import pytest

from ingest_server.errors import Misconfigured
from ingest_server.model import Mode, TableName, TableOptions
from ingest_server.postgres.embedded.embedded import EmbeddedPostgres
from ingest_server.postgres.ledger.schema import DDL_LOCK, VERSIONS
from tests.asking import Asker, until_blocked
from tests.conftest import dsn_of
from tests.ingest_server.postgres.stores import store_over
from tests.make import batch
from tests.running import RunningServer, running_server

PAGE = Path(__file__).parents[4] / "docs" / "security.md"
TABLES = """
CREATE TABLE listings (id int PRIMARY KEY, price int CHECK (price > 0));
CREATE TABLE pages (id serial, url text NOT NULL);
"""


@pytest.fixture
async def empty(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The name of a database that nobody has used, in which PUBLIC may nothing."""
    admin = await asyncpg.connect(postgres.dsn)
    await admin.execute("CREATE DATABASE items TEMPLATE template0")
    await admin.execute("REVOKE ALL ON DATABASE items FROM PUBLIC")
    yield dsn_of(postgres, "items")
    await admin.execute("DROP DATABASE items WITH (FORCE)")
    if await admin.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'scraper')"):
        await admin.execute("DROP ROLE scraper")
    await admin.close()


def role_of(dsn: str) -> str:
    return dsn.replace("postgres@", "scraper@")


async def as_documented(dsn: str) -> asyncpg.Connection:
    """An administrator who did what the page says, up to the migration; the connection is his."""
    admin = await asyncpg.connect(dsn)
    await admin.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC;" + TABLES)
    (said,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    await admin.execute(said)
    return admin


def migrated(dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "ingest_server", "migrate", "--database", dsn, *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False)


async def test_a_role_with_the_documented_privileges_runs_the_server(empty: str) -> None:
    admin = await as_documented(empty)
    done = await asyncio.to_thread(migrated, empty, "--grant-to", "scraper")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"the schema ingest is at version {len(VERSIONS)}, and scraper may use it\n"
    again = await asyncio.to_thread(migrated, empty, "--grant-to", "scraper")
    assert again.stdout == done.stdout
    for may in (
        "has_database_privilege('scraper', 'items', 'CREATE')",
        "has_schema_privilege('scraper', 'public', 'CREATE')",
    ):
        assert not await admin.fetchval(f"SELECT {may}")
    with running_server("--database", role_of(empty)) as server:
        await asyncio.to_thread(used, Asker(server.port))
        code, log = await asyncio.to_thread(server.terminate)
    assert code == 0
    assert "42501" not in log
    assert "permission denied" not in log
    assert await admin.fetch("SELECT count(*) FROM listings UNION ALL SELECT count(*) FROM pages") == [(2,), (3,)]
    await admin.close()


def used(asker: Asker) -> None:
    """Everything that a crawl and a person ask for."""
    sent = asker.send("listings", {"id": 1, "price": 5}, {"id": 2, "price": 7}, ingest_crawl="c", prefer="wait=30")
    assert (sent.status, sent.json["inserted"]) == (200, 2), sent.body
    sent = asker.send("listings", {"id": 1, "price": 6}, {"id": 3, "price": -1}, ingest_crawl="c", prefer="wait=30")
    assert (sent.status, sent.json["updated"], sent.json["failed"]) == (207, 1, 1), sent.body
    letter = sent.json["errors"][0]["dead_letter"]
    sent = asker.send("pages", *({"url": f"/{number}"} for number in range(3)), prefer="wait=30", ingest_crawl="c")
    assert (sent.status, sent.json["inserted"]) == (200, 3), sent.body
    assert asker.send("listings", {"id": "x"}, prefer="handling=strict, wait=30").status == 422
    closed = asker.close_crawl("c", 7, prefer="wait=30").json
    assert (closed["expected"], closed["missing"]) == (7, 0)
    assert asker.get(f"/v1/batches/{sent.json['id']}").json["succeeded"] == 3
    assert len(asker.get("/v1/batches?crawl=c").json["batches"]) == 3
    assert asker.get("/v1/dead-letters/groups").json["groups"][0]["count"] == 1
    assert {one["name"] for one in asker.get("/v1/tables").json["tables"]} == {"listings", "pages"}
    assert asker.ask("DELETE", f"/v1/dead-letters/{letter}").status in (200, 204)
    assert asker.get("/readyz").json["warnings"] == []


@pytest.mark.parametrize("mode", list(Mode))
async def test_each_documented_privilege_is_needed(empty: str, mode: Mode) -> None:
    """One taken away, and a batch of some mode is not written; given back, it is."""
    admin = await as_documented(empty)
    await asyncio.to_thread(migrated, empty, "--grant-to", "scraper")
    needed = {
        Mode.APPEND: [("INSERT", "listings"), ("USAGE", "SEQUENCE pages_id_seq"), ("SELECT", "ingest.batches")],
        Mode.UPSERT: [
            *(("INSERT", "listings"), ("SELECT", "listings"), ("UPDATE", "listings")),
            *(("TEMPORARY", "DATABASE items"), ("USAGE", "SCHEMA public"), ("USAGE", "SCHEMA ingest")),
        ],
        Mode.IGNORE: [("INSERT", "listings"), ("INSERT", "ingest.batches")],
    }[mode]
    for right, on in needed:
        await admin.execute(f"REVOKE {right} ON {on} FROM scraper")
        table = "pages" if "pages" in on else "listings"
        item = {"url": "/"} if table == "pages" else {"id": 1, "price": 1}
        options = {table: TableOptions(mode)}
        async with store_over(role_of(empty), options=options) as store:
            with pytest.raises(Misconfigured, match=r"42501|no such table|permission|privilege|42P01"):
                await store.write(batch(item, table=table))
        await admin.execute(f"GRANT {right} ON {on} TO scraper")
        async with store_over(role_of(empty), options=options) as store:
            assert (await store.write(batch(item, table=table))).failed in (0, 1)
            assert await store.sink.spec(TableName("public", table)) is not None
    await admin.close()


async def test_a_role_that_may_not_migrate_is_told_what_to_do(empty: str) -> None:
    admin = await as_documented(empty)
    told = pytest.raises(AssertionError, match="ingest-server migrate --grant-to")
    with told as refused, running_server("--database", role_of(empty)):
        pass
    assert "exit code 1" in str(refused.value)
    done = await asyncio.to_thread(migrated, role_of(empty))
    assert (done.returncode, "may CREATE in this database" in done.stderr) == (1, True)
    done = await asyncio.to_thread(migrated, empty, "--grant-to", "nobody-here")
    assert (done.returncode, "nobody-here" in done.stderr) == (1, True)
    assert not await admin.fetchval("SELECT to_regclass('ingest.batches') IS NOT NULL"), "all or nothing"
    await admin.close()


async def test_servers_that_start_at_once_migrate_once(empty: str) -> None:
    """Real processes, held back until all of them want the same lock."""
    admin = await asyncpg.connect(empty)
    await admin.execute("SELECT pg_advisory_lock($1)", DDL_LOCK)
    with ExitStack() as stack:
        starting = [
            asyncio.create_task(
                asyncio.to_thread(stack.enter_context, running_server("--database", empty, "--create-tables"))
            )
            for _ in range(3)
        ]
        await until_blocked(admin, 3)
        await admin.execute("SELECT pg_advisory_unlock($1)", DDL_LOCK)
        servers: list[RunningServer] = await asyncio.gather(*starting)
        for number, server in enumerate(servers):
            sent = await asyncio.to_thread(Asker(server.port).send, "things", {"n": number}, prefer="wait=30")
            assert sent.status == 200, sent.body
    versions = await admin.fetch("SELECT version FROM ingest.schema_version ORDER BY version")
    assert [row["version"] for row in versions] == list(range(1, len(VERSIONS) + 1))
    assert await admin.fetchval("SELECT count(*) FROM things") == 3
    await admin.close()
