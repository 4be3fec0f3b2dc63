"""Journals for tests: real files, with everything that happens now and then happening often."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from ingest_server.backoff import Backoff
from ingest_server.model import BatchHead
from ingest_server.queues.folder import JournalFolder
from ingest_server.queues.journaled import Bounds, JournaledQueue
from ingest_server.queues.writer import Pace
from ingest_server.telemetry import Telemetry

SECONDS = 10
OFTEN = Pace(look=0.02, idle=0.01, probe=Backoff(0.01, 0.02))
NEVER = Pace(look=3600, idle=3600, probe=Backoff(3600, 3600))


def journaled(
    path: Path,
    *,
    journal_bytes: int = 10_000_000,
    held_bytes: int = 1_000_000,
    pace: Pace = OFTEN,
    destination: str = "test",
    restored: Callable[[BatchHead], object] = lambda head: None,
    lost: Callable[[BatchHead], object] = lambda head: None,
    telemetry: Telemetry | None = None,
) -> JournaledQueue:
    """A queue over the folder, not open yet."""
    telemetry = telemetry or Telemetry()
    return JournaledQueue(
        JournalFolder(path, destination, telemetry),
        telemetry,
        Bounds(journal_bytes, held_bytes, 1000),
        restored=restored,
        lost=lost,
        pace=pace,
    )


async def until(is_so: Callable[[], object]) -> None:
    """Return when it is so: the journal's thread, or another task, decides when."""
    async with asyncio.timeout(SECONDS):
        while not is_so():  # noqa: ASYNC110  what is waited for tells nobody
            await asyncio.sleep(0)


def names(path: Path) -> list[str]:
    """Everything in a folder."""
    return sorted(one.name for one in path.iterdir())


def files(path: Path) -> list[Path]:
    """The journal files of a folder, without what SQLite keeps beside them."""
    return sorted(path.glob("journal-*.sqlite3"))
