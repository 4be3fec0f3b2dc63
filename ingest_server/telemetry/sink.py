"""The sink and the workers: outages, and errors that nobody has listed."""

from ingest_server.model import BatchHead
from ingest_server.telemetry.ground import Facts, Ground, about, log


class SinkFacts(Facts):
    """The sink."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._away_since: float | None = None
        self._outages = ground.counter("ingest_sink_errors", "Tries that met an outage of the sink")
        self._sink_up = ground.gauge("ingest_sink_up", "1 while the sink can be asked")
        self._sink_up.set(1)

    def outage(self, reason: str) -> None:
        """The sink could not be asked. Logged once per outage."""
        self._outages.inc()
        self._sink_up.set(0)
        if self._away_since is None:
            self._away_since = self._ground.clock()
            log.error("PostgreSQL is away (%s): batches wait, and nothing is given up", reason)

    def reachable(self) -> None:
        """The sink answered."""
        if self._away_since is not None:
            log.info("PostgreSQL is back after %.1f s", self._ground.clock() - self._away_since)
            self._away_since = None
            self._sink_up.set(1)

    @property
    def sink_is_away(self) -> bool:
        """Whether the last word of the sink was an outage."""
        return self._away_since is not None

    def unexpected(self, batch: BatchHead, error: BaseException) -> None:
        """An error that nobody has listed: the place where it happened, without its text, which may hold content."""
        text = "unexpected %s with batch %s, at %s"
        log.error(text, type(error).__name__, batch.id, _place(error), extra=about(self._ground, batch))

    def worker_died(self, name: str, error: BaseException) -> None:
        """A worker ended with an error, which is ours to mend. The others go on; /readyz says when none is left."""
        log.critical("%s died of an unexpected %s, at %s", name, type(error).__name__, _place(error))


def _place(error: BaseException) -> str:
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " → ".join(frames[-6:])
