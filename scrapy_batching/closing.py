"""The end of a crawl as both sides count it: asked for until they agree, and compared. No I/O, no Scrapy."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from scrapy_batching.words import in_items

MISMATCH = "batching_mismatch"
"""The `finish_reason` of a crawl whose counts differ from the server's."""

FIGURES = ("expected", "processed", "succeeded", "failed", "pending", "missing")
"""What the server says about a crawl that was closed, all of them numbers of items; `processed` are the settled ones."""
_MORE_FIGURES = ("inserted", "updated", "unchanged")

MOST_SECONDS = 30.0
"""For the counts to agree: with two servers a batch may still lie in the other one's journal."""
LEAST_SECONDS = 5.0
"""For the one try to close the crawl, where delivering has used up all the time."""
_FIRST_PAUSE = 0.1
_MOST_PAUSE = 2.0
_MOST_WAIT = 10.0

Close = Callable[[int, float], Awaitable[Mapping[str, Any] | None]]
"""Closes the crawl on the server, once more too. Given are the seconds that the server may wait for what is pending, and when
no further try begins; None where it did not say."""


async def until_both_agree(
    close: Close,
    *,
    left: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> dict[str, int]:
    """What the server says, once nothing is pending and nothing is missing, or after a while; empty where it did not say.

    `left` are the seconds that the crawl may still use; it takes between `LEAST_SECONDS` and `MOST_SECONDS` at most.
    """
    seconds = max(min(left, MOST_SECONDS), LEAST_SECONDS)
    # A crawl that has no time left asks once.
    give_up_at = clock() + min(left, seconds)
    said: dict[str, int] = {}
    gap = _FIRST_PAUSE
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = await close(int(max(0.0, min(_MOST_WAIT, (give_up_at - clock()) / 2))), give_up_at)
                if found is None:
                    return said
                said = _figures(found)
                is_agreed = said.get("pending", 0) <= 0 and said.get("missing", 0) <= 0
                if is_agreed or clock() + gap >= give_up_at:
                    return said
                await pause(gap)
                gap = min(gap * 2, _MOST_PAUSE)
    except TimeoutError:
        return said


def mismatch(said: Mapping[str, int], kept: int) -> str | None:
    """How the server's count differs from the crawl's, with the remedy; None where it does not.

    `kept` are the items that lie in the spool: the server may have those too, where only its answer was lost.
    """
    missing = said.get("missing", 0)
    if missing > 0:
        return f"the server misses {in_items(missing)}"
    if -missing > kept:
        return (
            f"the server has {in_items(-missing)} more than were delivered, and {kept} are in the spool;"
            " where BATCHING_CRAWL_ID is set, give every run an id of its own"
        )
    return None


def _figures(found: Mapping[str, Any]) -> dict[str, int]:
    """Only numbers: a proxy's answer may be an object with anything in it."""
    named = {name: found.get(name) for name in (*FIGURES, *_MORE_FIGURES)}
    return {name: value for name, value in named.items() if isinstance(value, int)}
