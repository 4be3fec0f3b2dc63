"""One batch to its end: waits out an outage with it, and gives it back where only this batch or its table is in trouble."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ingest_server.backoff import Backoff
from ingest_server.errors import Contended, Misconfigured, NearlyAllRefused, Unavailable
from ingest_server.model import Batch, Settled
from ingest_server.parking.parking import Parking
from ingest_server.ports import Sink
from ingest_server.telemetry import Telemetry

# A deadlock or a lock is mostly gone after this many tries; after that the batch waits aside and holds no worker.
_TRIES_IN_PLACE = 4
_LEAST_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Aside:
    """The batch could not be settled for a reason of its own: it comes again after so many seconds.

    One of a parked table comes again when that goes on.
    """

    seconds: float = 0.0


class Delivery:
    """Settles batches through a sink. Never gives one up."""

    def __init__(
        self,
        sink: Sink,
        telemetry: Telemetry,
        parking: Parking,
        *,
        pause: Callable[[float], Awaitable[None]],
        chance: Callable[[float, float], float] = random.uniform,
        backoff: Backoff | None = None,
        aside: Backoff | None = None,
    ) -> None:
        self._sink = sink
        self._telemetry = telemetry
        self._parking = parking
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
                    return self._aside(batch, error.reason)
                self._telemetry.retried(batch, error.reason)
                await self._pause(self._backoff.seconds(attempt, self._chance))
                attempt += 1
            except Misconfigured as error:
                self._telemetry.reachable()
                return Aside() if self._parking.misconfigured(batch, error) else self._aside(batch, error.reason)
            except NearlyAllRefused as error:
                self._telemetry.reachable()
                self._parking.nearly_all_refused(batch, error)
                return Aside()
            except Exception as error:
                self._telemetry.unexpected(batch, error)
                return self._aside(batch, f"unexpected {type(error).__name__}")
            else:
                self._asides.pop(batch.name, None)
                self._telemetry.reachable()
                self._parking.settled(batch)
                return settled

    def _aside(self, batch: Batch, reason: str) -> Aside:
        name = batch.name
        count = self._asides[name] = self._asides.get(name, 0) + 1
        seconds = _LEAST_SECONDS + self._aside_backoff.seconds(count - 1, self._chance)
        self._telemetry.set_aside(batch, reason, seconds)
        return Aside(seconds)
