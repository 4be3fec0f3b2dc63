"""Whether a name was settled before: asked of the ledger, but a batch never waits for a database that is away or silent."""

import asyncio
import time
from collections.abc import Callable
from uuid import UUID

from ingest_server.errors import SinkError
from ingest_server.model import Settled
from ingest_server.ports import Ledger

_SECONDS = 2.0
_PAUSE_SECONDS = 10.0


class Recall:
    """Looks names up. One that it cannot look up is taken for new: the ledger's key absorbs the batch later.

    After a question that was not answered in `seconds`, nobody asks for `pause` seconds: a frozen PostgreSQL would hold
    up each batch for as long.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = _SECONDS,
        pause: float = _PAUSE_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._seconds = seconds
        self._pause = pause
        self._ask_again_at = clock()

    async def settled(self, owner: str, batch: UUID) -> Settled | None:
        """The settled batch of this name, as far as the ledger can be asked now."""
        if self._clock() < self._ask_again_at:
            return None
        try:
            async with asyncio.timeout(self._seconds):
                return await self._ledger.batch(owner, batch)
        except TimeoutError:
            self._ask_again_at = self._clock() + self._pause
        except SinkError:
            pass
        return None
