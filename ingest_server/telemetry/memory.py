"""Memory, and connections that were cut to keep it."""

import logging
import math

from ingest_server.telemetry.ground import Facts, Ground, log

_QUIET_SECONDS = 10.0


class MemoryFacts(Facts):
    """Memory and connections."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._outs = ground.counter(
            "ingest_memory_out", "Times that the hard limit was passed and the work in flight was halved"
        )
        self._cut = ground.counter(
            "ingest_connections_cut",
            "Connections that were ended; reason is head, idle, full, unread or body",
            "reason",
        )
        self._cut_logged_at = -math.inf

    def memory_out(self, resident: int, limit: int, *, allowed: int, cut: int) -> None:
        """Resident memory is above the hard limit: half as much is worked on, and the larger bodies were cut."""
        self._outs.inc()
        log.error(
            "memory is out: %d bytes are resident, the hard limit is %d: at most %d batches are written at the same time now,"
            " %d bodies were cut; lower queue_bytes, workers or max_decoded_bytes if this comes again",
            *(resident, limit, allowed, cut),
        )

    def memory_well(self, resident: int, *, allowed: int) -> None:
        """It is below the soft limit again."""
        log.warning("memory is well again: %d bytes are resident, all %d workers may work", resident, allowed)

    def connection_cut(self, reason: str, remote: str) -> None:
        """A connection was ended for what its client did, or left undone. Logged now and then, and counted always."""
        self._cut.labels(reason).inc()
        now = self._ground.clock()
        is_loud = reason != "idle" and now - self._cut_logged_at >= _QUIET_SECONDS
        if is_loud:
            self._cut_logged_at = now
        log.log(logging.WARNING if is_loud else logging.DEBUG, "connection from %s was cut: %s", remote, _WHY[reason])


_WHY = {
    "head": "the head of its request took too long, or was too large",
    "idle": "no request came",
    "full": "there are as many connections as may be",
    "unread": "it does not read its answers",
    "body": "it went on sending a body that was refused",
}
