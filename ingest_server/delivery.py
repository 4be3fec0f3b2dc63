"""One batch to its end: waits out an outage with it, and gives it back where only this batch or its table is in trouble."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ingest_server.backoff import Backoff
from ingest_server.errors import Contended, Misconfigured, Unavailable
from ingest_server.model import Batch, Settled
from ingest_server.ports import Sink
from ingest_server.telemetry import Telemetry

# A deadlock or a lock is mostly gone after this many tries; after that the batch waits aside and holds no worker.
_TRIES_IN_PLACE = 4


@dataclass(frozen=True, slots=True)
class Aside:
    """The batch could not be settled for a reason of its own: it comes again after so many seconds."""

    seconds: float


class Delivery:
    """Settles batches through a sink. Never gives one up."""

    def __init__(
        self,
        sink: Sink,
        telemetry: Telemetry,
        *,
        pause: Callable[[float], Awaitable[None]],
        chance: Callable[[float, float], float] = random.uniform,
        backoff: Backoff | None = None,
        aside: Backoff | None = None,
    ) -> None:
        self._sink = sink
        self._telemetry = telemetry
        self._pause = pause
        self._chance = chance
        self._backoff = backoff or Backoff()
        self._aside_backoff = aside or Backoff(base=1.0, cap=30.0)
        self._asides: dict[tuple[str, object], int] = {}

    async def deliver(self, batch: Batch) -> Settled | Aside:
        """Settle the batch, however long PostgreSQL is away, or say when to come again with it."""
        attempt = 0
        while True:
            try:
                settled = await self._sink.write(batch)
            except Unavailable as error:
                self._telemetry.outage(error.reason)
                await self._pause(self._backoff.seconds(attempt, self._chance))
                attempt += 1
            except Contended as error:
                self._telemetry.reachable()
                if attempt >= _TRIES_IN_PLACE:
                    return self._aside(batch, error.reason, table_is_wrong=False)
                self._telemetry.retried(batch, error.reason)
                await self._pause(self._backoff.seconds(attempt, self._chance))
                attempt += 1
            except Misconfigured as error:
                self._telemetry.reachable()
                return self._aside(batch, error.reason, table_is_wrong=True)
            except Exception as error:
                self._telemetry.unexpected(batch, error)
                return self._aside(batch, f"unexpected {type(error).__name__}", table_is_wrong=False)
            else:
                self._asides.pop(batch.name, None)
                self._telemetry.reachable()
                return settled

    def _aside(self, batch: Batch, reason: str, *, table_is_wrong: bool) -> Aside:
        name = batch.name
        count = self._asides[name] = self._asides.get(name, 0) + 1
        seconds = 0.5 + self._aside_backoff.seconds(count - 1, self._chance)
        self._telemetry.set_aside(batch, reason, seconds, table_is_wrong=table_is_wrong)
        return Aside(seconds)
