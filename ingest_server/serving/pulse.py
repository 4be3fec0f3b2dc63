"""A beat four times a second: how late the event loop is, and whether an operator has to be warned."""

import asyncio
import time
from collections.abc import Callable

from ingest_server.serving.tasks import OwnTask
from ingest_server.telemetry import Telemetry

_EVERY_SECONDS = 0.25


class Pulse(OwnTask):
    """The task that beats."""

    def __init__(
        self,
        telemetry: Telemetry,
        look: Callable[[], None],
        *,
        every: float = _EVERY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("pulse", telemetry)
        self._look = look
        self._every = every
        self._clock = clock

    async def _run(self) -> None:
        while True:
            due = self._clock() + self._every
            await asyncio.sleep(self._every)
            self._telemetry.event_loop_was_late(max(0.0, self._clock() - due))
            self._look()
