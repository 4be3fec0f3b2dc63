"""What follows from the options and from where the crawl runs: its asyncio, its spool, its high water."""

from pathlib import Path

import platformdirs
from scrapy.settings import BaseSettings
from scrapy.utils.asyncio import is_asyncio_available

from scrapy_batching.errors import AsyncioMissing
from scrapy_batching.settings.options import MEMORY_WATER, SPOOL_WATER, Settings


def high_water(options: Settings) -> tuple[int, int]:
    """How many items and bytes may wait, where 0 means what suits the place where they wait."""
    items, size = SPOOL_WATER if options.spool else MEMORY_WATER
    return (
        options.high_water_items or max(items, 2 * options.batch_items),
        options.high_water_bytes or max(size, 2 * options.batch_bytes),
    )


def spool_directory(options: Settings, settings: BaseSettings) -> Path:
    """Where the spool lies; nothing is made by asking."""
    if options.spool_dir:
        return Path(options.spool_dir).expanduser()
    jobdir = settings.get("JOBDIR")
    if jobdir:
        return Path(jobdir) / "batching"
    return platformdirs.user_state_path("scrapy-batching") / str(settings.get("BOT_NAME") or "scrapybot")


def require_asyncio() -> None:
    """Raises AsyncioMissing where Scrapy runs without asyncio."""
    try:
        is_available = is_asyncio_available()
    except RuntimeError as error:  # neither a loop nor a reactor
        raise AsyncioMissing from error
    if not is_available:
        raise AsyncioMissing
