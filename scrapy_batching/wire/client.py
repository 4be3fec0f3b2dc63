"""Speaks the contract with the server: one batch at a time is sent until the server has it or will never have it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import aiohttp
import orjson
from yarl import URL

from scrapy_batching.batcher import Batch
from scrapy_batching.wire.answers import (
    SEND_AGAIN,
    Answer,
    InMemory,
    Outcome,
    TooLarge,
    TryAgain,
    Verdict,
    object_in,
    verdict_on_asking,
    verdict_on_sending,
)
from scrapy_batching.wire.backoff import full_jitter, pause_before, seconds_asked_for
from scrapy_batching.wire.compression import choose, compress

_MOST_WAIT = 30.0
_LEAST_SHARE = 0.1
"""Of a pause that is cut short by the news that the server is back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How to reach the server and how to bear with it. Times are in seconds."""

    url: str
    crawl: str
    token: str = ""
    timeout: float = 60.0
    connections: int = 5
    compression: str = "auto"
    retry_base: float = 0.5
    retry_max: float = 30.0

    def address(self, path: str) -> str:
        """The whole address of a path of the contract, which is already percent-encoded."""
        return self.url.rstrip("/") + path

    def batches(self, table: str) -> str:
        """Where batches of a table are sent."""
        return self.address(f"/v1/tables/{quote(table, safe='')}/batches")


class Observer(Protocol):
    """Who is told what happens on the wire."""

    def answered(self, status: int) -> None:
        """An answer came."""

    def sent(self, size: int) -> None:
        """A batch's body of `size` bytes went out."""

    def unavailable(self, reason: str, *, is_told: bool = False) -> None:
        """The server could not take something; it will be tried again. `is_told`: it said so itself."""

    def available(self) -> None:
        """The server took something."""


class Client:
    """Delivers batches. Its session is made in the running loop with the first request; `close` it at the end.

    `pause` and `jitter` are what time and chance are to it.
    """

    def __init__(
        self,
        way: Way,
        observer: Observer,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[float], float] = full_jitter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._way = way
        self._observer = observer
        self._pause = pause
        self._jitter = jitter
        self._clock = clock
        self._coding = choose(way.compression, urlsplit(way.url).hostname or "")
        # Whole seconds: a fraction is no preference of the contract's, and would be ignored.
        self._wait = f"wait={int(min(_MOST_WAIT, way.timeout / 2))}"
        self._session: aiohttp.ClientSession | None = None
        self._news: asyncio.Future[None] | None = None

    async def deliver(
        self, batch: Batch, *, was_tried: bool = False, waits: Callable[[], Awaitable[None]] | None = None
    ) -> Outcome:
        """Sends the batch under its name until the server has it for good, or says that it will not have it.

        `was_tried`: an earlier crawl, or an earlier call, may have sent it. `waits` is awaited once, when the first try has
        failed. Retries for ever: whoever has a deadline cancels it. Raises OSError if the batch's file cannot be read.
        """
        body = compress(batch.body(), self._coding)
        tries = 0
        while True:
            verdict = await self._send(batch, body)
            if not isinstance(verdict, TryAgain):
                self._spread_news()
            outcome = await self._follow(batch, verdict) if isinstance(verdict, InMemory) else verdict
            if isinstance(outcome, TooLarge) and (tries or was_tried):
                # An earlier try may have been stored though its answer was lost. The halves of a split have names that
                # the ledger does not know: they would be stored once more.
                known = await self._follow(batch, InMemory(0.0))
                outcome = outcome if isinstance(known, TryAgain) else known
            if not isinstance(outcome, TryAgain):
                self._observer.available()
                return outcome
            tries += 1
            if tries == 1 and waits is not None:
                await waits()
            await self._wait_out(outcome, tries)

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
                if answer.status < 500 and answer.status not in (408, 409, 429):
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

    async def _send(self, batch: Batch, body: bytes) -> Verdict:
        headers = {
            "Content-Type": "application/x-ndjson",
            "Idempotency-Key": str(batch.id),
            "Ingest-Crawl": self._way.crawl,
        }
        if self._coding != "identity":
            headers["Content-Encoding"] = self._coding
        self._observer.sent(len(body))
        answer = await self._ask("POST", self._way.batches(batch.table), headers, body)
        return answer if isinstance(answer, TryAgain) else verdict_on_sending(answer, batch.id)

    async def _follow(self, batch: Batch, last: InMemory) -> Outcome | TryAgain:
        """Asks until the batch has settled; TryAgain if the server has forgotten it."""
        address = self._way.address(f"/v1/batches/{batch.id}")
        verdict: Verdict = last
        tries = 0
        while True:
            if isinstance(verdict, InMemory):
                # It waits for us on its side; the pause is for a server that does not.
                await self._pause(max(verdict.retry_after, self._jitter(self._way.retry_base)))
                tries = 0
            answer = await self._ask("GET", address, {"Prefer": self._wait}, None)
            if isinstance(answer, Answer):
                verdict = verdict_on_asking(answer, batch.id)
                if answer.status in SEND_AGAIN:
                    break
            else:
                verdict = answer
            match verdict:
                case InMemory():
                    continue
                case TryAgain():
                    tries += 1
                    await self._wait_out(verdict, tries)
                case _:
                    return verdict
        return TryAgain("the server knows the batch no longer", is_told=True)

    async def _ask(self, method: str, address: str, headers: dict[str, str], body: bytes | None) -> Answer | TryAgain:
        try:
            # Redirects are not followed: a POST would come out of a 301 as a GET.
            async with self._connected().request(
                method, URL(address, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = Answer(response.status, response.headers, await response.read())
        except TimeoutError:
            return TryAgain(f"no answer within {self._way.timeout:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return TryAgain(f"{type(error).__name__}: {error}")
        self._observer.answered(answer.status)
        return answer

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Never earlier: without a running loop (CrawlerProcess builds its parts before) aiohttp refuses.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._way.connections),
                timeout=aiohttp.ClientTimeout(total=self._way.timeout),
                headers={"Authorization": f"Bearer {self._way.token}"} if self._way.token else None,
            )
        return self._session

    async def _wait_out(self, verdict: TryAgain, tries: int) -> None:
        self._observer.unavailable(verdict.reason, is_told=verdict.is_told)
        seconds = self._seconds(verdict, tries)
        again_at = self._clock() + max(verdict.retry_after, seconds * _LEAST_SHARE)
        if await self._is_cut_short(seconds):
            # Never at once, or a server that takes one table and not another would be asked without a pause.
            left = again_at - self._clock()
            if left > 0:
                await self._pause(left)

    async def _is_cut_short(self, seconds: float) -> bool:
        """Pauses; True if meanwhile the server took something from another sender."""
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        news, pause = self._news, asyncio.ensure_future(self._pause(seconds))
        try:
            await asyncio.wait({news, pause}, return_when=asyncio.FIRST_COMPLETED)
            return not pause.done()
        finally:
            pause.cancel()

    def _spread_news(self) -> None:
        """Wakes whoever pauses: the server takes something."""
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)

    def _seconds(self, verdict: TryAgain, tries: int) -> float:
        way = self._way
        return pause_before(
            tries, base=way.retry_base, most=way.retry_max, at_least=verdict.retry_after, jitter=self._jitter
        )
