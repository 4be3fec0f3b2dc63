"""BATCHING_START_CHECK: before the first request goes out the server is asked whether it can take the crawl's items."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass

from scrapy_batching.errors import StartCheckFailed
from scrapy_batching.telemetry.start import StartTelemetry
from scrapy_batching.wire.answers import Answer, TryAgain, object_in, problem_of
from scrapy_batching.wire.questions import Questions
from scrapy_batching.wire.way import Way

SECONDS = 5.0
"""For all questions together, which are asked at the same time."""

_CONTRACT = ("/v1/tables/{}/batches", "/v1/batches/{}", "/v1/crawls/{}/close")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, with its remedy. `is_maybe`: only if the spider yields what nobody knows before it does."""

    text: str
    is_maybe: bool = False


class StartCheck:
    """One crawl's. `tables` are those that are known before it; `maybe` is the one of dicts, where it is the spider's name.

    With `fails` what is wrong ends the crawl, else it is a warning.
    """

    def __init__(
        self,
        way: Way,
        *,
        tables: Iterable[str],
        maybe: str | None,
        fails: bool,
        telemetry: StartTelemetry,
        seconds: float = SECONDS,
    ) -> None:
        self._way = way
        self._tables = tuple(dict.fromkeys(tables))
        self._maybe = None if maybe in self._tables else maybe
        self._fails = fails
        self._telemetry = telemetry
        self._seconds = seconds

    async def __call__(self) -> None:
        """Asks once, and is done after a few seconds, whatever is at the other end. Raises StartCheckFailed."""
        findings = await self._findings()
        certain = [one.text for one in findings if not one.is_maybe]
        failure = StartCheckFailed(self._way.url, certain) if certain else None
        for one in findings:
            if one.is_maybe and not certain:
                self._telemetry.maybe_not_ready(self._way.url, one.text)
        if failure is None:
            self._telemetry.ready(self._way.url)
        else:
            self._telemetry.not_ready(failure, fails=self._fails)
            if self._fails:
                raise failure

    async def _findings(self) -> list[Finding]:
        names = [*self._tables, *([self._maybe] if self._maybe is not None else [])]
        async with Questions(self._way, seconds=self._seconds) as questions:
            contract, ready, listing, *tables = await asyncio.gather(
                *map(questions.get, ("/openapi.json", "/readyz", "/v1/tables")), *map(questions.send_nothing, names)
            )
        answers = (contract, ready, listing, *tables)
        if all(isinstance(one, TryAgain) for one in answers):
            return [_silence(contract)]
        refused = next((one for one in answers if isinstance(one, Answer) and one.status == 401), None)
        if refused is not None:
            return [self._stranger(refused)]
        wrong = [*_of_contract(contract)]
        if wrong:
            # Whatever else it says is not about batches.
            return wrong
        wrong += [*_of_readiness(ready), *_of_listing(listing)]
        is_busy = any(not one.is_maybe for one in wrong)
        for name, answer in zip(names, tables, strict=True):
            wrong += _of_table(name, answer, is_maybe=name == self._maybe, is_busy=is_busy)
        return wrong

    def _stranger(self, answer: Answer) -> Finding:
        said = problem_of(answer)
        if self._way.token:
            return Finding(f"it does not know the token ({said}): set BATCHING_TOKEN to one that it has")
        return Finding(f"it wants a token ({said}): set BATCHING_TOKEN")


def is_crawl(*, crawling: bool, start: object) -> bool:
    """Whether a spider that is opened is going to crawl: not in `shell`, `fetch`, `parse` and `check`.

    `shell` runs the engine without a crawl; the others give the spider's class a `start` of their own.
    """
    return crawling and not str(getattr(start, "__module__", "")).startswith("scrapy.commands.")


def _silence(answer: Answer | TryAgain) -> Finding:
    assert isinstance(answer, TryAgain)
    remedy = answer.remedy or "start it (ingest-server run), or write its address in BATCHING_URL"
    return Finding(f"there is no answer ({answer.reason}): {remedy}")


def _of_contract(answer: Answer | TryAgain) -> Iterable[Finding]:
    if isinstance(answer, TryAgain):
        yield Finding(f"GET /openapi.json has no answer ({answer.reason}): look at the server's log")
        return
    document = object_in(answer) if answer.status == 200 else None
    paths = (document or {}).get("paths")
    known = {re.sub(r"{[^}]*}", "{}", path) for path in paths} if isinstance(paths, dict) else set()
    if known.issuperset(_CONTRACT):
        return
    if known:
        missing = ", ".join(sorted(set(_CONTRACT) - known))
        said = f"its /openapi.json does not have {missing}"
    else:
        said = f"GET /openapi.json is answered {problem_of(answer)}" if document is None else "it has another contract"
    yield Finding(f"it is no ingestion server of this contract ({said}): write the server's address in BATCHING_URL")


def _of_readiness(answer: Answer | TryAgain) -> Iterable[Finding]:
    if isinstance(answer, TryAgain):
        yield Finding(f"GET /readyz has no answer ({answer.reason}): look at the server's log")
    elif answer.status != 200:
        reasons = (object_in(answer) or {}).get("reasons")
        said = "; ".join(map(str, reasons)) if isinstance(reasons, list) and reasons else str(problem_of(answer))
        yield Finding(f"it takes nothing now ({said}): look at /readyz and the server's log")


def _of_listing(answer: Answer | TryAgain) -> Iterable[Finding]:
    if isinstance(answer, Answer) and answer.status == 403:
        yield Finding(f"the token may not see its tables ({problem_of(answer)}): set BATCHING_TOKEN to one that may")


def _of_table(name: str, answer: Answer | TryAgain, *, is_maybe: bool, is_busy: bool) -> Iterable[Finding]:
    if isinstance(answer, TryAgain):
        yield Finding(f"table {name} has no answer ({answer.reason}): look at the server's log", is_maybe)
        return
    said = problem_of(answer)
    match answer.status:
        case 422:  # there is no item in it, and that is all that is wrong
            return
        case 403:
            text = f"the token is not for table {name} ({said}): set BATCHING_TOKEN to one that is, or BATCHING_TABLES"
        case 404:
            text = f"there is no table {name} ({said}): create it there, or name another in BATCHING_TABLES"
        case 429 | 503 if is_busy:
            return
        case _:
            text = f"table {name} takes nothing now ({said}): look at the server's log"
    yield Finding(text, is_maybe)
