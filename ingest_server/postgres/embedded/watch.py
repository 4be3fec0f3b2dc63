"""Watches over the embedded PostgreSQL while the server runs: one that was killed or crashed is started again."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from ingest_server.backoff import Backoff
from ingest_server.errors import EmbeddedUnavailable
from ingest_server.postgres.embedded.embedded import EmbeddedPostgres

log = logging.getLogger("ingest_server")

_EVERY_SECONDS = 0.5
_SOUND_SECONDS = 60.0
"""A PostgreSQL that lived so long had not just been started in vain: the next pause is short again."""


@contextlib.asynccontextmanager
async def watched(
    embedded: EmbeddedPostgres,
    *,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[None]:
    """While the block runs, a PostgreSQL that dies is started again, with back-off, for as long as it takes.

    Whoever uses it sees an outage. It is started where it listened before, so that connection strings stay as they are.
    """
    task = asyncio.create_task(_watch(embedded, pause, clock), name="watch over the embedded PostgreSQL")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(
    embedded: EmbeddedPostgres, pause: Callable[[float], Awaitable[None]], clock: Callable[[], float]
) -> None:
    backoff, attempt, started_at = Backoff(base=0.2, cap=30.0), 0, float("-inf")
    while True:
        await pause(_EVERY_SECONDS)
        if embedded.is_alive:
            continue
        if clock() - started_at > _SOUND_SECONDS:
            attempt = 0
        log.error("the embedded PostgreSQL in %s has died: starting it again; batches wait", embedded.data)
        died_at = clock()
        while True:
            if attempt:
                await pause(backoff.seconds(attempt - 1, random.uniform))
            attempt += 1
            try:
                is_ours = await asyncio.to_thread(embedded.revive)
            except (EmbeddedUnavailable, OSError) as error:
                log.error("the embedded PostgreSQL could not be started again (try %d): %s", attempt, error)
            else:
                started_at = clock()
                by = "" if is_ours else " (another process started it)"
                log.warning("the embedded PostgreSQL runs again after %.1f s%s", started_at - died_at, by)
                break
