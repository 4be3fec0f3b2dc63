"""A connection that PgBouncer passes on to another session after every transaction.

Nothing may outlast a transaction: no prepared statement (not the unnamed one between its two steps either), no SET, no
temporary table. So each statement stands in a transaction, limits are set in each of them, staging tables end with it.
"""

import contextlib
from collections.abc import AsyncIterator, MutableSet
from typing import Any

from ingest_server.postgres.connections.shaped import ShapedConnection

# As for a session, but until the transaction ends. How long an idle connection lives is the pooler's business.
_LIMITS = """
SELECT set_config(name, least(nullif(setting::bigint, 0), wanted)::text, true)
FROM pg_settings JOIN (VALUES ('statement_timeout', {statement}), ('lock_timeout', {statement} / 2),
    ('idle_in_transaction_session_timeout', {silent})) AS limits (name, wanted) USING (name);
"""


class PooledConnection(ShapedConnection):
    """`ShapedConnection` that leaves nothing in a session and expects nothing there."""

    def limit(self, statement: int, silent: int) -> None:
        """Limits of every transaction from now on, in milliseconds."""
        self.limits = _LIMITS.format(statement=statement, silent=silent)

    @property
    def staging(self) -> MutableSet[str]:  # type: ignore[override]  # nothing is ever remembered
        """None: they end with their transaction."""
        return set()

    def staging_made_by(self, statement: str) -> str:
        """The statement, for a table that ends with the transaction."""
        return statement.replace("ON COMMIT DELETE ROWS", "ON COMMIT DROP", 1)

    async def fetch(self, query: str, *args: Any, **more: Any) -> Any:
        """As asyncpg's, in a transaction."""
        async with self._transaction():
            return await super().fetch(query, *args, **more)

    async def fetchrow(self, query: str, *args: Any, **more: Any) -> Any:
        """As asyncpg's, in a transaction."""
        async with self._transaction():
            return await super().fetchrow(query, *args, **more)

    async def fetchval(self, query: str, *args: Any, **more: Any) -> Any:
        """As asyncpg's, in a transaction."""
        async with self._transaction():
            return await super().fetchval(query, *args, **more)

    async def execute(self, query: str, *args: Any, **more: Any) -> str:
        """As asyncpg's, in a transaction where it has arguments; without any it is one message, and needs none."""
        if not args:
            return await super().execute(query, **more)
        async with self._transaction():
            return await super().execute(query, *args, **more)

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        if self.is_in_transaction():
            yield
            return
        await super().execute(f"BEGIN; {self.limits}")
        try:
            yield
        except BaseException:
            with contextlib.suppress(Exception):
                await super().execute("ROLLBACK")
            raise
        await super().execute("COMMIT")
