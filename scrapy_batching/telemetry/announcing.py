"""Who listens to our signals is told; who does not costs nothing."""

import asyncio
import inspect
from typing import Any, Protocol

from pydispatch.dispatcher import getAllReceivers, liveReceivers  # type: ignore[import-untyped]

from scrapy_batching.saying import logger_of

logger = logger_of(__name__)

MOST_WAITING = 1_000
"""Signals whose handlers are still at work; beyond it further ones are not sent, or a slow handler would use up the memory."""
MOST_SECONDS = 5.0
"""For handlers that are still at work when the crawl ends."""


class Signals(Protocol):
    """What is needed of Scrapy's signal manager."""

    sender: Any

    def send_catch_log(self, signal: Any, **facts: Any) -> list[tuple[Any, Any]]:
        """Calls the handlers now."""

    async def send_catch_log_async(self, signal: Any, **facts: Any) -> list[tuple[Any, Any]]:
        """Calls the handlers and waits for those that are coroutines."""


class Announcer:
    """Sends one crawl's signals, each in a task of its own. With `signals` None there is nobody to send to."""

    def __init__(self, signals: Signals | None, *, spider: object, most_waiting: int = MOST_WAITING) -> None:
        self._signals = signals
        self._spider = spider
        self._most_waiting = most_waiting
        self._tasks: set[asyncio.Task[object]] = set()
        self.skipped = 0
        """Signals that were not sent, because too many handlers were still at work."""

    def is_heard(self, signal: object) -> bool:
        """Whether anybody is connected."""
        if self._signals is None:
            return False
        return next(liveReceivers(getAllReceivers(self._signals.sender, signal)), None) is not None

    def announce(self, signal: object, **facts: Any) -> None:
        """Sends a signal soon; at once where no loop runs any more."""
        if self._signals is None or not self.is_heard(signal):
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._announce_now(signal, **facts)
            return
        if len(self._tasks) >= self._most_waiting:
            self._skip()
            return
        sending = self._signals.send_catch_log_async(signal, spider=self._spider, **facts)
        task: asyncio.Task[object] = loop.create_task(sending, name="scrapy_batching signal")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _announce_now(self, signal: object, **facts: Any) -> None:
        assert self._signals is not None
        try:
            told = self._signals.send_catch_log(signal, spider=self._spider, **facts)
        except Exception as error:
            # Scrapy logs what a handler raises, and that may raise too: the rest has to be written all the same.
            logger.error("batching: a signal could not be sent", exc_info=error, extra={"spider": self._spider})
            return
        for _, result in told:
            # A coroutine that nobody will ever run; closed, or Python complains of it.
            if inspect.iscoroutine(result):
                result.close()

    async def finish(self, within: float) -> None:
        """Waits for the handlers that are at work, and ends those that take longer than `within` seconds."""
        if not self._tasks:
            return
        _, slow = await asyncio.wait(self._tasks, timeout=within)
        if slow:
            logger.warning(
                "batching: %d handlers of batching's signals were still at work %g s after the crawl and are ended",
                *(len(slow), within),
                extra={"spider": self._spider},
            )
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

    def _skip(self) -> None:
        self.skipped += 1
        if self.skipped == 1:
            logger.warning(
                "batching: %d handlers of batching's signals are still at work, further signals are only counted, in"
                " batching/signals/skipped: make the handlers faster",
                self._most_waiting,
                extra={"spider": self._spider},
            )
