"""Speaks the contract with the server: each batch is sent until the server has it or will never have it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from scrapy_batching.batching.batch import Batch
from scrapy_batching.wire.answers import (
    SEND_AGAIN,
    Answer,
    ForLater,
    InMemory,
    Outcome,
    Problem,
    TooLarge,
    TryAgain,
    Verdict,
    is_strange,
    object_in,
    verdict_on_asking,
    verdict_on_sending,
)
from scrapy_batching.wire.backoff import full_jitter, pause_before, seconds_asked_for
from scrapy_batching.wire.breaker import Observer as BreakerObserver
from scrapy_batching.wire.breaker import Try
from scrapy_batching.wire.compression import Coding, compress, next_best
from scrapy_batching.wire.trouble import no_answer
from scrapy_batching.wire.way import Link, Way

_MOST_WAIT = 30.0
_UNSUPPORTED = 415
_MOST_OF_A_TABLE = 5
"""Tries for a table that takes nothing, before what an earlier crawl left for it is left on."""
_MOST_PAGES = 5
"""Answers in a row that are no ingestion server's, before what an earlier crawl left is left on: they may never end."""


class Observer(BreakerObserver, Protocol):
    """Who is told what happens on the wire."""

    def answered(self, status: int) -> None:
        """An answer came."""

    def sent(self, size: int) -> None:
        """A batch's body of `size` bytes went out."""

    def took(self, seconds: float) -> None:
        """The answer to it came after so long."""

    def again(self, reason: str) -> None:
        """A try has to be repeated."""

    def falls_back(self, coding: str, other: str) -> None:
        """The server takes no bodies in `coding`: they go in `other` from now on."""


@dataclass(slots=True)
class Progress:
    """How far a batch has come with the server. `was_tried`: it may have been sent before, by an earlier crawl too."""

    was_tried: bool = False
    asks: bool = False
    """The next try asks how the batch stands, instead of sending it."""
    too_large: TooLarge | None = None
    """What was said to a batch that may be stored all the same: it is asked for first."""


class Client:
    """Delivers batches. Its session is made in the running loop with the first request; `close` it at the end.

    `link` is what is learnt about the server, shared with others who send to it; without one it has its own. While the server
    is away `deliver` asks `behind` seconds later than the others. `pause` and `jitter` are what time and chance are to it.
    """

    def __init__(
        self,
        way: Way,
        observer: Observer,
        *,
        link: Link | None = None,
        behind: float = 0.0,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[float], float] = full_jitter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._way = way
        self._observer = observer
        self._link = link or Link(way, observer, clock=clock, jitter=jitter)
        self._behind = behind
        self._pause = pause
        self._jitter = jitter
        self._clock = clock
        # Whole seconds: a fraction is no preference of the contract's, and would be ignored.
        self._wait = f"wait={int(min(_MOST_WAIT, way.timeout / 2))}"
        self._session: aiohttp.ClientSession | None = None

    async def attempt(self, batch: Batch, progress: Progress, one: Try) -> Outcome | InMemory | TryAgain:
        """Sends the batch under its name, or asks for it, once. `one` was begun at the link's breaker, and is ended here.

        What is to be done the next time is kept in `progress`. Raises OSError if the batch's file cannot be read.
        """
        breaker = self._link.breaker
        try:
            verdict = await self._step(batch, progress)
        except BaseException:
            breaker.abandoned(one)
            raise
        if isinstance(verdict, TryAgain) and verdict.whose == "server":
            breaker.failed(one, verdict)
        else:
            breaker.took(one)
        return verdict

    async def deliver(self, batch: Batch, *, was_tried: bool = False) -> Outcome:
        """Sends the batch under its name until the server has it for good, or says that it will not have it.

        `was_tried`: an earlier crawl may have sent it. Retries for ever, but a few times only for a table that takes nothing,
        and where somebody else answers: whoever has a deadline cancels it. Raises OSError if the batch's file cannot be read.
        """
        progress = Progress(was_tried)
        tries = pages = 0
        while True:
            one = await self._link.breaker.turn(self._pause, behind=self._behind)
            verdict = await self.attempt(batch, progress, one)
            if isinstance(verdict, InMemory):
                tries = 0
                # It waits for us on its side; the pause is for a server that does not.
                await self._pause(max(verdict.retry_after, self._jitter(self._way.retry_base)))
            elif isinstance(verdict, TryAgain):
                tries += 1
                self._observer.again(verdict.reason)
                if verdict.whose == "table" and tries >= _MOST_OF_A_TABLE:
                    problem = Problem(503, "the table takes nothing now", verdict.reason)
                    return ForLater(problem, "it goes on when the table takes batches again")
                pages = pages + 1 if verdict.page else 0
                if verdict.page and pages >= _MOST_PAGES:
                    return ForLater(verdict.page, verdict.remedy, verdict.whose)
                if verdict.whose != "server" or not self._link.breaker.is_open:
                    await self._pause(self._seconds(verdict, tries))
            else:
                return verdict

    async def close_crawl(
        self, totals: Mapping[str, Any], give_up_at: float, *, wait: int = 30
    ) -> dict[str, Any] | None:
        """Tells the server what the crawl sent. Gives the crawl as the server sees it, None if it did not say in time.

        The server may wait `wait` seconds for what is pending. There is always one try, and none begins after `give_up_at`
        (of the clock).
        """
        address = self._way.address(f"/v1/crawls/{quote(self._way.crawl, safe='')}/close")
        headers = {"Content-Type": "application/json", "Prefer": f"wait={min(wait, int(self._way.timeout / 2))}"}
        tries = 0
        while True:
            answer = await self._ask("POST", address, headers, orjson.dumps(dict(totals)))
            if isinstance(answer, Answer):
                found = object_in(answer) if answer.status == 200 else None
                if found is not None:
                    return found
                if answer.status < 500 and answer.status not in (408, 409, 429) and not is_strange(answer):
                    return None
                reason = TryAgain(f"answer {answer.status}", seconds_asked_for(answer.headers))
            else:
                reason = answer
            tries += 1
            seconds = self._seconds(reason, tries)
            if self._clock() + seconds >= give_up_at:
                return None
            await self._pause(seconds)

    async def crawl(self) -> dict[str, Any] | None:
        """The crawl as the server sees it; None if it did not say. One try."""
        answer = await self._ask("GET", self._way.address(f"/v1/crawls/{quote(self._way.crawl, safe='')}"), {}, None)
        return object_in(answer) if isinstance(answer, Answer) and answer.status == 200 else None

    async def close(self) -> None:
        """Closes the connections. What is sent after that opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _step(self, batch: Batch, progress: Progress) -> Outcome | InMemory | TryAgain:
        if not progress.asks:
            was_tried, progress.was_tried = progress.was_tried, True
            verdict = await self._send(batch)
            if isinstance(verdict, InMemory):
                progress.asks = True
            if not (isinstance(verdict, TooLarge) and was_tried):
                return verdict
            # An earlier try may have been stored though its answer was lost. The halves of a split have names that
            # the ledger does not know: they would be stored once more.
            progress.asks, progress.too_large = True, verdict
        answer = await self._ask("GET", self._way.address(f"/v1/batches/{batch.id}"), {"Prefer": self._wait}, None)
        if isinstance(answer, TryAgain):
            return answer
        if answer.status not in SEND_AGAIN or is_strange(answer):
            return verdict_on_asking(answer, batch.id)
        progress.asks = False
        too_large, progress.too_large = progress.too_large, None
        return too_large or TryAgain("the server knows the batch no longer", is_told=True, whose="batch", slows=False)

    async def _send(self, batch: Batch) -> Verdict:
        coding = self._link.coding
        while True:
            answer = await self._post(batch, coding)
            if isinstance(answer, TryAgain):
                return answer
            if answer.status != _UNSUPPORTED or coding == "identity":
                return verdict_on_sending(answer, batch.id)
            other = next_best(coding)
            if self._link.coding == coding:
                self._link.coding = other
                self._observer.falls_back(coding, other)
            coding = other

    async def _post(self, batch: Batch, coding: Coding) -> Answer | TryAgain:
        headers = {
            "Content-Type": "application/x-ndjson",
            "Idempotency-Key": str(batch.id),
            "Ingest-Crawl": self._way.crawl,
        }
        if coding != "identity":
            headers["Content-Encoding"] = coding
        # Read and made smaller for each try: what waits for a server that is away takes no memory.
        body = compress(batch.body(), coding)
        self._observer.sent(len(body))
        began = self._clock()
        answer = await self._ask("POST", self._way.batches(batch.table), headers, body)
        if isinstance(answer, Answer):
            self._observer.took(self._clock() - began)
        return answer

    async def _ask(self, method: str, address: str, headers: dict[str, str], body: bytes | None) -> Answer | TryAgain:
        try:
            # Redirects are not followed: a POST would come out of a 301 as a GET.
            async with self._connected().request(
                method, URL(address, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = Answer(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, OSError) as error:
            return no_answer(error, self._way.timeout, self._way)
        self._observer.answered(answer.status)
        # Only where something is wrong: what is said then is logged and kept. The name of a batch may hold anything.
        is_said = answer.status >= 300 or is_strange(answer)
        return replace(answer, body=self._way.without_secrets(answer.body)) if is_said else answer

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Never earlier: without a running loop (CrawlerProcess builds its parts before) aiohttp refuses.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._way.connections, ssl=self._way.tls or True),
                timeout=aiohttp.ClientTimeout(total=self._way.timeout),
                headers=self._way.every,
            )
        return self._session

    def _seconds(self, verdict: TryAgain, tries: int) -> float:
        way = self._way
        return pause_before(
            tries, base=way.retry_base, most=way.retry_max, at_least=verdict.retry_after, jitter=self._jitter
        )
