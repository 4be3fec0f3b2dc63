"""How long to wait before the same is tried again."""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_MOST_ASKED = 600.0


def full_jitter(most: float) -> float:
    """Anything from nothing to `most` seconds, so that many crawls do not come back at once."""
    return random.uniform(0, most)


def pause_before(
    tries: int, *, base: float, most: float, at_least: float, jitter: Callable[[float], float] = full_jitter
) -> float:
    """Seconds to wait after `tries` failed tries (1 or more): exponential, jittered, never below `at_least`."""
    # The exponent is bounded: 2.0 ** 1100 overflows, and a crawl may well retry for days.
    return max(at_least, jitter(min(most, base * 2.0 ** min(tries - 1, 60))))


def seconds_asked_for(headers: Mapping[str, str], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float:
    """What `Retry-After` says, as seconds or as an HTTP date; 0 without one, at most ten minutes."""
    said = headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return min(float(said), _MOST_ASKED)
    try:
        when = parsedate_to_datetime(said)
    except (ValueError, IndexError, OverflowError):
        return 0.0
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max((when - now()).total_seconds(), 0.0), _MOST_ASKED)
