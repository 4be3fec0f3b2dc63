"""What the ledger forgets."""

from ingest_server.telemetry.ground import Facts, Ground, log


class RetentionFacts(Facts):
    """Details and names of settled batches that have expired."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._expired = ground.counter(
            "ingest_ledger_expired", "Settled batches of which something was forgotten", "what"
        )

    def details_expired(self, batches: int) -> None:
        """The errors of so many batches are forgotten."""
        self._expired.labels(what="details").inc(batches)

    def names_expired(self, batches: int) -> None:
        """So many batches, and retries, are forgotten but for their crawls' totals."""
        self._expired.labels(what="names").inc(batches)

    def retention_waits(self, reason: str) -> None:
        """Nothing could be forgotten now: it is tried again later."""
        log.debug("what has expired stays a little longer: %s", reason)
