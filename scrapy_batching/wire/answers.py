"""What the server's answers mean for a batch. No I/O: an answer goes in, a verdict comes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import orjson

from scrapy_batching.wire.backoff import seconds_asked_for


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Delivered:
    """The batch is the server's: journaled, or settled. `failed` of its items are dead letters, `total` it counted."""

    total: int
    failed: int


@dataclass(frozen=True, slots=True)
class InMemory:
    """The server has it in memory only: it would not survive the server. Ask again."""

    retry_after: float


Whose = Literal["server", "table", "batch", "rate"]


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The same again later, under the same name; `retry_after` is the least number of seconds to wait.

    `is_told`: an ingestion server runs there, and `reason` is what it said. `whose` trouble it is: the whole server's, one
    table's, this batch's alone, or ours, who ask more often than we may. `slows`: less at a time might help. `remedy` where
    one is known. `page`: what a stranger said in the server's place.
    """

    reason: str
    retry_after: float = 0.0
    is_told: bool = False
    whose: Whose = "server"
    slows: bool = True
    remedy: str = ""
    page: "Problem | None" = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the server would not have it: RFC 9457's fields, or the beginning of whatever was said."""

    status: int
    title: str
    detail: str

    def __str__(self) -> str:
        return f"{self.status} {self.title}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Too many items or bytes: send less at once."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class ForLater:
    """Nothing that this crawl can mend: a token, a right or a table is missing. The batch waits in the spool.

    `whose` trouble it is, as in `TryAgain`; `remedy`: what somebody has to do.
    """

    problem: Problem
    remedy: str = ""
    whose: Whose = "table"


@dataclass(frozen=True, slots=True)
class Refused:
    """Refused for good."""

    problem: Problem


Outcome = Delivered | TooLarge | ForLater | Refused
Verdict = Outcome | InMemory | TryAgain

_AGAIN = frozenset({408, 409, 429, 502, 503, 504})
_LATER = frozenset({401, 403, 404})
_ANYBODY_S = frozenset({401, 403, 413, 415}) | _AGAIN
"""What means the same, whoever says it: a gateway asks for a token, a proxy has a limit of its own, or nobody is behind it."""
_DISLIKES_ONE = frozenset({400, 422})
"""A firewall that dislikes one body answers so; the next one may please it."""
SEND_AGAIN = frozenset({401, 403, 404, 410})
"""Answers about a batch after which only sending it again tells how it stands: forgotten, or no longer ours to ask."""
_BETWEEN = "a proxy or another service answers there: mend it, or BATCHING_URL"
_MOST_DETAIL = 500
_MOST_PAGE = 80
_MOST_REASON = 300


def verdict_on_sending(answer: Answer, batch: UUID) -> Verdict:
    """What the answer to `POST /v1/tables/{table}/batches` means."""
    status = answer.status
    if 200 <= status < 300:
        return _of_batch(answer, batch)
    if status in _AGAIN:
        return _again(answer)
    if is_strange(answer):
        return _of_stranger(answer)
    if status == 413:
        return TooLarge(problem_of(answer))
    if status in _LATER:
        return ForLater(problem_of(answer), _remedy(answer))
    return Refused(problem_of(answer))


def verdict_on_asking(answer: Answer, batch: UUID) -> Verdict:
    """What the answer to `GET /v1/batches/{id}` means, asked while the batch was in the server's memory only."""
    if answer.status == 200:
        return _of_batch(answer, batch)
    return _of_stranger(answer) if is_strange(answer) else _again(answer, " about a batch")


def is_strange(answer: Answer) -> bool:
    """Whether it is no ingestion server's: a page or an object of a proxy's, or of another service's."""
    if answer.status in _ANYBODY_S:
        return False
    found = object_in(answer)
    # Every problem of the contract has a title; what is no problem has an id or figures.
    return found is None or (not 200 <= answer.status < 300 and not isinstance(found.get("title"), str))


def object_in(answer: Answer) -> dict[str, Any] | None:
    """The JSON object that the body is; None for anything else, such as a proxy's page."""
    try:
        found = orjson.loads(answer.body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def problem_of(answer: Answer) -> Problem:
    """What the server says is wrong."""
    found = object_in(answer)
    if found is None or is_strange(answer):
        # A page of somebody else's: its first words are enough to tell whose, and a log line must stay one line.
        page = " ".join(answer.body[:_MOST_DETAIL].decode("utf-8", "replace").split())[:_MOST_PAGE]
        began = f"it began {page!r}" if page else "it was empty"
        return Problem(answer.status, f"not from an ingestion server, check BATCHING_URL; {began}", "")
    return Problem(answer.status, str(found.get("title", "")), str(found.get("detail", ""))[:_MOST_DETAIL])


def _remedy(answer: Answer) -> str:
    if answer.status in (401, 403):
        return "mend the token (BATCHING_TOKEN)"
    return "make the table" if (object_in(answer) or {}).get("table") else "check BATCHING_URL"


def _of_stranger(answer: Answer) -> TryAgain:
    page = problem_of(answer)
    is_one = page.status in _DISLIKES_ONE
    return TryAgain(
        f"answer {page.status}, {page.title}",
        seconds_asked_for(answer.headers),
        whose="batch" if is_one else "server",
        slows=not is_one,
        remedy=_BETWEEN,
        page=page,
    )


def _again(answer: Answer, about: str = "") -> TryAgain:
    said, table = "", False
    if answer.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "application/problem+json":
        found = object_in(answer) or {}
        # One line of a log, whatever was said.
        said = " ".join(str(found.get("detail") or found.get("title") or "").split())[:_MOST_REASON]
        table = bool(found.get("table"))
    reason = f"answer {answer.status}{about}" + (f": {said}" if said else "")
    whose = _whose(answer.status, is_of_table=table)
    slows = whose in ("server", "rate") or answer.status == 408
    return TryAgain(reason, seconds_asked_for(answer.headers), is_told=bool(said), whose=whose, slows=slows)


def _whose(status: int, *, is_of_table: bool) -> Whose:
    if is_of_table and status in (429, 503):
        return "table"
    if status == 429:
        return "rate"
    return "server" if status in (502, 503, 504) else "batch"


def _of_batch(answer: Answer, batch: UUID) -> Verdict:
    found = object_in(answer)
    if found is None:
        # Something between us answered in the server's place, or cut the answer off: nothing is known.
        return _of_stranger(answer)
    if found.get("id") != str(batch):
        page = Problem(answer.status, "not about the batch, check BATCHING_URL", "")
        return TryAgain(f"answer {answer.status} that is not about the batch", remedy=_BETWEEN, page=page)
    ack, total, failed = found.get("ack"), found.get("total"), found.get("failed")
    if ack in ("journaled", "committed") and isinstance(total, int) and isinstance(failed, int):
        return Delivered(total, failed)
    if ack == "memory":
        return InMemory(seconds_asked_for(answer.headers))
    return TryAgain(f"answer {answer.status} with an unknown ack")
