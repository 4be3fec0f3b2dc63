"""Where an outage happens: a PostgreSQL to hurt, a database and a role of the server's own, a proxy, and the server."""

import asyncio
from dataclasses import dataclass, field

import aiohttp
import asyncpg

from loadtests.faults.postgres import Postgres
from loadtests.faults.proxy import Proxy

ROLE = "line"
TABLES = ("keyed", "plain")
HOT = (-1, -2)
"""Keys that every batch of `keyed` writes, so that batches can meet in a deadlock; they are not counted."""

_SETUP = f"""
CREATE TABLE keyed (id int PRIMARY KEY, v text);
CREATE TABLE plain (id int, v text);
ALTER TABLE keyed OWNER TO {ROLE};
ALTER TABLE plain OWNER TO {ROLE}
"""


@dataclass(slots=True)
class Place:
    """One database and what stands around it."""

    postgres: Postgres
    database: str
    proxy: Proxy
    port: int
    url: str = ""
    disk: object = None
    http: aiohttp.ClientSession = field(init=False)

    @property
    def dsn(self) -> str:
        """As the server reaches it: through the proxy."""
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{self.database}?sslmode=disable"

    async def make(self) -> None:
        """The database, empty, and its role."""
        await self.postgres.execute(
            f"DO $$ BEGIN CREATE ROLE {ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        await self.postgres.execute(f"GRANT pg_execute_server_program TO {ROLE}")
        await self.postgres.execute(f"CREATE DATABASE {self.database} OWNER {ROLE}")
        await self.execute(_SETUP)

    async def execute(self, statement: str) -> None:
        """A statement in this database, as its administrator."""
        await self.postgres.execute(statement, self.database)

    async def connect(self) -> "asyncpg.Connection":
        """A connection to this database, as its administrator."""
        return await asyncpg.connect(self.postgres.dsn(self.database), timeout=60)

    async def end_sessions(self) -> None:
        """Every session of the server."""
        await self.postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'")

    async def figure(self, name: str) -> float:
        """A metric of the server, over all its labels."""
        async with self.http.get(f"{self.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    async def until(self, name: str, least: float, seconds: float = 30.0) -> None:
        """Return when the metric has grown so large."""
        async with asyncio.timeout(seconds):
            while await self.figure(name) < least:  # noqa: ASYNC110  the server tells when it is asked
                await asyncio.sleep(0.05)
