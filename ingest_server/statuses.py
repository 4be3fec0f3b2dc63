"""Batches that this server holds or has just settled: who waits for one is woken, and nobody polls."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from uuid import UUID

from ingest_server.model import ERRORS_KEPT, BatchHead, Settled, Status

# Settled batches that are remembered here, so that most questions about them need no database.
_REMEMBERED = 10_000


@dataclass(slots=True)
class Waiting:
    """A batch on its way."""

    batch: BatchHead
    status: Status
    settled: asyncio.Future[Settled] = field(repr=False)


class Statuses:
    """What this process knows of batches; the ledger knows the rest."""

    def __init__(self) -> None:
        self._receiving: set[tuple[str, UUID]] = set()
        self._waiting: dict[tuple[str, UUID], Waiting] = {}
        self._given_up = False
        self._settled: OrderedDict[tuple[str, UUID], Settled] = OrderedDict()

    def begin_receiving(self, owner: str, batch: UUID) -> bool:
        """Claim the name while its body arrives. False where another request does so right now."""
        name = (owner, batch)
        if name in self._receiving:
            return False
        self._receiving.add(name)
        return True

    def end_receiving(self, owner: str, batch: UUID) -> None:
        """Give the name back."""
        self._receiving.discard((owner, batch))

    def accepted(self, batch: BatchHead) -> Waiting:
        """The batch is in the queue."""
        entry = Waiting(batch, Status.QUEUED, asyncio.get_running_loop().create_future())
        if self._given_up:
            entry.settled.cancel()
        self._waiting[batch.name] = entry
        return entry

    def restored(self, batch: BatchHead) -> None:
        """The batch came back from a journal."""
        self.accepted(batch)

    def lost(self, batch: BatchHead) -> None:
        """The disk lost the batch: nobody will settle it, and its name is free for its sender."""
        self._waiting.pop(batch.name).settled.cancel()

    def processing(self, batch: BatchHead) -> None:
        """A worker has the batch."""
        self._waiting[batch.name].status = Status.PROCESSING

    def queued(self, batch: BatchHead) -> None:
        """The batch waits aside."""
        self._waiting[batch.name].status = Status.QUEUED

    def settled(self, batch: BatchHead, outcome: Settled) -> None:
        """The batch is in the ledger. Wakes whoever waits for it."""
        name = batch.name
        if len(outcome.errors) > ERRORS_KEPT:  # ten thousand batches of ten thousand errors would not fit into memory
            outcome = replace(outcome, errors=outcome.errors[:ERRORS_KEPT])
        self._settled[name] = outcome
        while len(self._settled) > _REMEMBERED:
            self._settled.popitem(last=False)
        entry = self._waiting.pop(name)
        if not entry.settled.done():
            entry.settled.set_result(outcome)

    def give_up(self) -> None:
        """Nothing is settled here any more: whoever waits is answered now."""
        self._given_up = True
        for entry in self._waiting.values():
            entry.settled.cancel()

    def waiting(self, owner: str, batch: UUID) -> Waiting | None:
        """The batch if it is on its way here."""
        return self._waiting.get((owner, batch))

    def recent(self, owner: str, batch: UUID) -> Settled | None:
        """The batch if it was settled here lately."""
        return self._settled.get((owner, batch))

    def of_everyone(self) -> list[Waiting]:
        """Batches on their way, whoever sent them; for the operator, never for an answer."""
        return list(self._waiting.values())

    def of_owner(self, owner: str, crawl: str | None = None) -> list[Waiting]:
        """Batches on their way, newest first."""
        found = [
            entry
            for (whose, _), entry in self._waiting.items()
            if whose == owner and crawl in (None, entry.batch.crawl)
        ]
        return sorted(found, key=lambda entry: (entry.batch.created_at, entry.batch.id), reverse=True)


async def until_settled(entry: Waiting, seconds: float) -> Settled | None:
    """The outcome, or None where it is not there after so many seconds. Holds no worker."""
    if seconds > 0:
        await asyncio.wait([entry.settled], timeout=seconds)
    return entry.settled.result() if entry.settled.done() and not entry.settled.cancelled() else None


async def until_all_settled(entries: Iterable[Waiting]) -> bool:
    """Return when each of them is settled. False where the server gave them up before."""
    futures = [entry.settled for entry in entries]
    await asyncio.wait(futures)
    return not any(future.cancelled() for future in futures)
