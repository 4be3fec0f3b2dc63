"""Every queue there is, made alike."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from ingest_server.model import Batch
from ingest_server.ports import BatchQueue
from ingest_server.queues.memory import MemoryQueue
from tests.journals import SECONDS, journaled

KINDS = ("memory", "journaled", "journaled, no body in memory")
Make = Callable[..., Awaitable[BatchQueue]]


def queue_of(kind: str, path: Path, room: int) -> BatchQueue:
    """A queue that holds so many batches of two small items, not open yet."""
    if kind == "memory":
        return MemoryQueue(max_items=2 * room, max_bytes=100_000)
    return journaled(path, journal_bytes=room * 4200, held_bytes=0 if "no body" in kind else 10_000)


async def take(queue: BatchQueue) -> Batch:
    """The next batch that is ready."""
    async with asyncio.timeout(SECONDS):
        return await anext(aiter(queue))
