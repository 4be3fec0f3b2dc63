"""What is asked over HTTP and not carried out."""

import logging
import math

from ingest_server.telemetry.ground import Facts, Ground, log

_QUIET_SECONDS = 10.0
_LOUD = frozenset({401, 403, 429, 500})
"""What somebody has to mend, and the sender alone would hear of."""


class RequestFacts(Facts):
    """Requests."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._requests_refused = ground.counter(
            "ingest_requests_refused", "Requests that were not carried out", "status"
        )
        self._logged_at: dict[int, float] = {}

    def request_refused(self, status: int, detail: str) -> None:
        """A request was answered with a problem. Overload, and who is not let in, is logged now and then, and counted always."""
        self._requests_refused.labels(str(status)).inc()
        now = self._ground.clock()
        kind = min(500, status)
        is_loud = kind in _LOUD and now - self._logged_at.get(kind, -math.inf) >= _QUIET_SECONDS
        if is_loud:
            self._logged_at[kind] = now
        log.log(logging.WARNING if is_loud else logging.DEBUG, "⊘ %d: %s", status, detail)
