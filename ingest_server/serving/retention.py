"""What has expired goes: a little at a time, beside the work, on whichever server comes to it first."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

from ingest_server.errors import SinkError
from ingest_server.model import Keeping
from ingest_server.serving.tasks import OwnTask
from ingest_server.telemetry import Telemetry

_EVERY_SECONDS = 600.0
# A step of so many batches takes some milliseconds; after it the database has as long for itself, and a little more.
_STEP = 500
_REST_SECONDS = 0.2


class Forgetful(Protocol):
    """What is kept of settled batches. Its methods take one short step and raise a `SinkError`."""

    async def forget_details(self, before: datetime, most: int) -> int:
        """Of so many batches that settled before, forget the errors of their items. How many it were."""

    async def forget_names(self, before: datetime, most: int) -> int:
        """Forget so many batches that settled before; their crawls keep the totals. How many it were."""


class Retention(OwnTask):
    """The task that forgets. A step that is under way when it is stopped is undone by PostgreSQL."""

    def __init__(
        self,
        kept: Forgetful,
        keeping: Keeping,
        telemetry: Telemetry,
        clock: Callable[[], datetime],
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__("retention", telemetry)
        self._kept = kept
        self._keeping = keeping
        self._clock = clock
        self._pause = pause

    async def sweep(self) -> None:
        """Forget all that has expired by now. Raises a `SinkError`; then the rest goes with a later sweep."""
        now = self._clock()
        while details := await self._kept.forget_details(now - self._keeping.details, _STEP):
            self._telemetry.details_expired(details)
            await self._pause(_REST_SECONDS)
        while names := await self._kept.forget_names(now - self._keeping.names, _STEP):
            self._telemetry.names_expired(names)
            await self._pause(_REST_SECONDS)

    async def _run(self) -> None:
        while True:
            try:
                await self.sweep()
            except SinkError as error:
                self._telemetry.retention_waits(error.reason)
            await self._pause(_EVERY_SECONDS)
