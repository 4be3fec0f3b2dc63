"""Waiting for whichever comes first."""

import asyncio
from collections.abc import Awaitable, Callable


async def first(*events: Callable[[], Awaitable[object]], seconds: float | None = None) -> None:
    """Return when the first of these does, or after so many seconds."""
    tasks = [asyncio.ensure_future(event()) for event in events]
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
