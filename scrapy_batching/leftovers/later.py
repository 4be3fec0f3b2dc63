"""What one sending of leftovers need not try again, and why."""

from scrapy_batching.wire.answers import ForLater


class Later:
    """Shared by all runs of one sending: the tables that are left on, or everything."""

    def __init__(self) -> None:
        self._tables: dict[str, ForLater] = {}
        self._all: ForLater | None = None

    def add(self, table: str, why: ForLater) -> None:
        """A batch for `table` was left on. What is that batch's own trouble is no other's."""
        if why.whose == "server":
            self._all = why
        elif why.whose == "table":
            self._tables[table] = why

    def of(self, table: str) -> ForLater | None:
        """Why nothing goes to the table now; None: it may."""
        return self._all or self._tables.get(table)

    @property
    def is_all(self) -> bool:
        """Whether nothing goes anywhere, because no ingestion server is there."""
        return self._all is not None
