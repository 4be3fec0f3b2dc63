"""Tables that are parked: one loud word when it begins, one when they go on."""

from collections.abc import Mapping

from ingest_server.model import Parked, TableName
from ingest_server.telemetry.ground import Facts, Ground, log


class ParkingFacts(Facts):
    """Parked tables."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._wrong_tables: dict[TableName, Parked] = {}
        self._parked = ground.gauge("ingest_table_parked", "1 while the table's batches wait aside", "table")
        self._parkings = ground.counter(
            "ingest_tables_parked", "Times that a table was parked; cause is configuration or refused", "table", "cause"
        )
        self._probes = ground.counter("ingest_table_probes", "Batches let through to a parked table", "table")

    def parked(self, parked: Parked) -> None:
        """The table is parked, or for another reason than before."""
        ground, table = self._ground, self._ground.shown(parked.table)
        label = ground.table_label(parked.table)
        self._wrong_tables[parked.table] = parked
        self._parked.labels(label).set(1)
        self._parkings.labels(label, parked.cause).inc()
        until = (
            "it goes on by itself once a try passes"
            if parked.cause == "configuration"
            else f"mend it, then say: ingest-server tables resume {table}"
        )
        text = "table %s is parked, its batches wait and nothing of them is given up: %s; %s"
        log.error(text, table, parked.reason, until, extra={"table": table})

    def probed(self, table: TableName) -> None:
        """One batch of a parked table is let through."""
        self._probes.labels(self._ground.table_label(table)).inc()

    def went_on(self, table: TableName, batches: int, why: str) -> None:
        """The table is not parked any more."""
        self._wrong_tables.pop(table, None)
        shown = self._ground.shown(table)
        self._parked.labels(self._ground.table_label(table)).set(0)
        log.warning("table %s goes on with %d batches: %s", shown, batches, why, extra={"table": shown})

    def parking_unkept(self, reason: str) -> None:
        """The database did not take down which tables are parked; it is tried again."""
        log.error("which tables are parked cannot be kept in the database now: %s", reason)

    @property
    def wrong_tables(self) -> Mapping[TableName, Parked]:
        """Tables that are parked."""
        return self._wrong_tables
