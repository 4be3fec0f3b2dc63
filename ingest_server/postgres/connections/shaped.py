"""A connection that remembers for which shape of each table its statements were prepared."""

from functools import cached_property

import asyncpg

from ingest_server.model import TableName


class ShapedConnection(asyncpg.Connection):
    """asyncpg keeps the column types of a table from the first COPY on: after an ALTER TABLE it would encode yesterday's."""

    limits = ""
    """What a transaction begins with, where limits do not outlast it."""

    @cached_property
    def shapes(self) -> dict[TableName, str]:
        """Shapes by the table's name: asyncpg's statements are kept by their text, and a name may move to another table."""
        return {}

    @cached_property
    def staging(self) -> set[str]:
        """Staging tables that were made here and committed."""
        return set()

    def staging_made_by(self, statement: str) -> str:
        """The statement that makes a staging table, as this connection needs it."""
        return statement

    def get_reset_query(self) -> str:
        """Nothing: no session state but the staging tables is ever left behind, and the default is a round trip a batch."""
        return ""
