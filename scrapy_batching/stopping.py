"""How a crawl is stopped by its own pipeline: properly, once, and never from within what the stopping waits for."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Stopping:
    """One crawl's. `stop` closes the spider with a reason; `failed` is told if it raises."""

    def __init__(
        self,
        stop: Callable[[str], Coroutine[Any, Any, None]],
        *,
        failed: Callable[[str, Exception], None] = lambda _what, _error: None,
    ) -> None:
        self._stop = stop
        self._failed = failed
        self._task: asyncio.Task[None] | None = None

    @property
    def is_begun(self) -> bool:
        """Whether the crawl is being stopped."""
        return self._task is not None

    def begin(self, reason: str) -> None:
        """Begins to close the spider; the first reason counts. Returns at once. Needs the running loop."""
        # In a task of its own: closing waits for the items that are on their way, and for what is being delivered.
        if self._task is None:
            self._task = asyncio.create_task(self._run(reason), name="scrapy_batching stop")

    async def _run(self, reason: str) -> None:
        try:
            await self._stop(reason)
        except Exception as error:
            self._failed("stopping the crawl", error)
