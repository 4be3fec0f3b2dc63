"""The end: what waits is settled first, as long as there is time and somebody to settle it; what is left is named."""

import asyncio
import logging
import math
import time

from ingest_server.ports import BatchQueue
from ingest_server.serving.waiting import first
from ingest_server.settings import Settings
from ingest_server.statuses import Statuses
from ingest_server.telemetry import Telemetry

log = logging.getLogger("ingest_server")

# How often a stop looks whether there is still something to wait for.
_LOOK_SECONDS = 0.1


async def settle(queue: BatchQueue, telemetry: Telemetry, settings: Settings, hurry: asyncio.Event) -> None:
    """Wait for what may settle now. What is in the journal has time: no outage, and no broken table, is waited for."""
    seconds = settings.drain_timeout or math.inf
    if queue.promise != "journaled":
        for table, trouble in telemetry.wrong_tables.items():
            log.warning("the stop waits for table %s: %s", table.shown(settings.schema_), trouble.reason)
        await first(queue.drain, hurry.wait, seconds=None if seconds == math.inf else seconds)
        return
    ends = time.monotonic() + seconds
    while queue.batches > queue.set_aside_count and not telemetry.sink_is_away:
        left = ends - time.monotonic()
        if left <= 0 or hurry.is_set():
            return
        await first(queue.drain, hurry.wait, seconds=min(left, _LOOK_SECONDS))


def name_what_is_gone(statuses: Statuses, telemetry: Telemetry, schema: str, batches: int, items: int) -> None:
    """Log every batch that was accepted in memory and is not settled."""
    log.error(
        "%d batches with %d items were accepted in memory and are not settled: their senders must send them again",
        *(batches, items),
    )
    wrong = telemetry.wrong_tables
    for batch in (entry.batch for entry in statuses.of_everyone()):
        reason = wrong[batch.table].reason if batch.table in wrong else "no time was left"
        log.error(
            "not settled: batch %s%s, table %s, %d items, crawl %s: %s",
            *(
                batch.id,
                f" of {batch.owner}" if batch.owner else "",
                batch.table.shown(schema),
                batch.total,
                batch.crawl or "-",
                reason,
            ),
        )
