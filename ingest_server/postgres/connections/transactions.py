"""Transactions and savepoints by their own statements: asyncpg's would take a round trip each for what fits into one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from ingest_server.postgres.tables.catalogue import Connection

_ATTEMPT = "ingest_attempt"
_ROLLBACK_SECONDS = 2.0


class NotCommittedError(Exception):
    """COMMIT was answered with ROLLBACK: an error in the transaction went unnoticed."""


@contextlib.asynccontextmanager
async def transaction(one: Connection, prelude: str) -> AsyncIterator[None]:
    """One transaction, begun together with `prelude`. Whatever leaves the block, a cancellation too, leaves none open."""
    try:
        # The rows of the ledger must be seen as they are at each statement, whatever the database's default is.
        await one.execute(f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {one.limits}{prelude}")
        yield
        tag = await one.execute("COMMIT")
    except BaseException:
        # Always: after a cancellation the driver does not know yet whether it is in one. The first error is the one to
        # tell; a connection that cannot even roll back, or not in time, is closed by its pool.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_ROLLBACK_SECONDS):
                await one.execute("ROLLBACK")
        raise
    if tag != "COMMIT":
        raise NotCommittedError


@contextlib.asynccontextmanager
async def savepoint(one: Connection) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A place to come back to: what the block wrote stays, unless it calls what it is given."""
    name = "ingest_before"

    async def undo() -> None:
        await one.execute(f"ROLLBACK TO SAVEPOINT {name}")

    await one.execute(f"SAVEPOINT {name}")
    yield undo
    await one.execute(f"RELEASE SAVEPOINT {name}")


@contextlib.asynccontextmanager
async def attempts(one: Connection) -> AsyncIterator["Attempts"]:
    """A place to come back to that moves along with every attempt that is kept."""
    await one.execute(f"SAVEPOINT {_ATTEMPT}")
    yield Attempts(one)
    await one.execute(f"RELEASE SAVEPOINT {_ATTEMPT}")


class Attempts:
    """Every attempt is kept or undone in one round trip."""

    def __init__(self, one: Connection) -> None:
        self._one = one

    async def keep(self) -> None:
        """What was written since the last `keep` stays."""
        await self._one.execute(f"RELEASE SAVEPOINT {_ATTEMPT}; SAVEPOINT {_ATTEMPT}")

    async def undo(self) -> None:
        """Nothing was written since the last `keep`."""
        await self._one.execute(f"ROLLBACK TO SAVEPOINT {_ATTEMPT}")
