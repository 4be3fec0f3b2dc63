"""Whether the server is there for anybody: one breaker for all that a crawl sends. No I/O; time and chance are arguments."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from scrapy_batching.wire.answers import TryAgain
from scrapy_batching.wire.backoff import full_jitter, pause_before


class Observer(Protocol):
    """Who is told that the server goes and comes."""

    def unavailable(self, reason: str, *, is_told: bool = False, remedy: str = "") -> None:
        """It takes nothing, from anybody, and still nothing with each further call; `remedy` where one is known."""

    def available(self) -> None:
        """It took something."""


@dataclass(frozen=True, slots=True, eq=False)
class Try:
    """One try that was let through: how many had been taken when it began."""

    taken: int


class Breaker:
    """Closed while the server answers; open while it does not; then one try at a time, a probe, finds out whether it does.

    It opens when a try fails and nothing was taken since that try began: else the trouble is that batch's own. A probe goes
    out after `base` seconds, up to twice as many each time and at most `most`, with full jitter, and never before the server's
    own `Retry-After`. Whatever is taken closes it, a try that began earlier too.
    """

    def __init__(
        self,
        observer: Observer,
        *,
        base: float,
        most: float,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float], float] = full_jitter,
    ) -> None:
        self._observer = observer
        self._base = base
        self._most = most
        self._clock = clock
        self._jitter = jitter
        self._taken = 0
        self._failures = 0
        self._probe: Try | None = None
        self._heard: list[Callable[[], None]] = []
        self._news: asyncio.Future[None] | None = None
        self.away_since: float | None = None
        """When it opened, by its clock; None while it is closed."""
        self.next_at = 0.0
        """Not before then is a probe let through."""

    @property
    def is_open(self) -> bool:
        """Whether the server takes nothing."""
        return self.away_since is not None

    @property
    def is_probing(self) -> bool:
        """Whether one try is on its way to find out."""
        return self._probe is not None

    def hears(self, changed: Callable[[], None]) -> None:
        """`changed` is called when it opens or closes, and when a probe has ended."""
        self._heard.append(changed)

    def allows(self) -> bool:
        """Whether a try may begin now."""
        return not self.is_open or (self._probe is None and self._clock() >= self.next_at)

    def begin(self) -> Try:
        """Lets one through, which has to be ended by one of the three below."""
        one = Try(self._taken)
        if self.is_open:
            self._probe = one
        return one

    def took(self, one: Try) -> None:
        """The server answered as one that runs."""
        self._taken += 1
        if self._probe is one:
            self._probe = None
        if self.is_open:
            self.away_since, self._failures = None, 0
            self._observer.available()
            self._tell()

    def failed(self, one: Try, why: TryAgain) -> None:
        """There was no answer, or one of a server that takes nothing."""
        was_open, was_probe = self.is_open, self._probe is one
        if was_open and not was_probe:
            # On its way when the breaker opened: it says nothing new, but when to come back.
            self.next_at = max(self.next_at, self._clock() + why.retry_after)
            return
        if not was_open and one.taken != self._taken:
            return
        self._probe = None
        self._failures += 1
        now = self._clock()
        pause = pause_before(
            self._failures, base=self._base, most=self._most, at_least=why.retry_after, jitter=self._jitter
        )
        self.next_at = now + pause
        if not was_open:
            self.away_since = now
        self._observer.unavailable(why.reason, is_told=why.is_told, remedy=why.remedy)
        self._tell()

    def abandoned(self, one: Try) -> None:
        """It was cut off and says nothing. Of one that has ended already: nothing happens."""
        if self._probe is one:
            self._probe = None
            self._tell()

    async def turn(self, pause: Callable[[float], Awaitable[None]], *, behind: float = 0.0) -> Try:
        """Waits until a try may begin, and begins it; with `behind`, so many seconds after others may probe."""
        while self.is_open:
            left = self.next_at + behind - self._clock()
            if left <= 0 and self._probe is None:
                break
            if self._news is None:
                self._news = asyncio.get_running_loop().create_future()
            news = self._news
            if self._probe is not None:
                await asyncio.wait({news})
                continue
            pausing = asyncio.ensure_future(pause(left))
            try:
                await asyncio.wait({news, pausing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                pausing.cancel()
        return self.begin()

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)
        for changed in self._heard:
            changed()
