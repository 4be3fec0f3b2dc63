"""Where a crawl stands that does not end: asked for by signals, answered in its log."""

import asyncio
import faulthandler
import signal
import sys
from typing import Any

from scrapy.crawler import Crawler

SCRAPYS = "laboratory: the engine waits for its own requests: Scrapy's"
OURS = "laboratory: the engine waits for the add-on"


def explain_on_signal(crawler: Crawler) -> None:
    """SIGUSR1: the stacks of all threads. SIGUSR2: what engine and scraper wait for, and the stack of every task."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    signal.signal(signal.SIGUSR2, lambda _number, _frame: _explain(crawler))


def _explain(crawler: Crawler) -> None:
    engine: Any = crawler.engine
    slot, scraper = engine._slot, engine.scraper.slot  # noqa: SLF001  nothing else tells
    waiting = list(slot.inprogress) if slot is not None else []
    busy = scraper is not None and not scraper.is_idle()
    print(
        f"laboratory: running {engine.running}, closing {slot is not None and slot.closing is not None}",
        file=sys.stderr,
    )
    print(f"laboratory: in progress {waiting[:5]}, scraper {scraper and vars(scraper)}", file=sys.stderr)
    for task in asyncio.all_tasks():
        task.print_stack(file=sys.stderr)
    # Only its own bookkeeping is left: nothing is with a callback, a middleware or a pipeline, and no pipeline was told
    # to close. An item that start() yielded, and that is the last one under way, ends without anyone looking whether
    # the scraper is to close.
    closes = scraper is not None and scraper.closing is not None and not scraper.closing.called
    print(SCRAPYS if not busy and (waiting or closes) else OURS, file=sys.stderr, flush=True)
