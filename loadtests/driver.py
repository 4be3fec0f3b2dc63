"""The HTTP loader: sends ready bodies, waits for the commit, and believes no answer that it has not read.

Closed loop (`starts` not given): `in_flight` senders, each sends its next batch when its last one is answered; it finds
the throughput. Open loop (`starts` given): each batch has its time, whether the server keeps up or not, and its latency
counts from that time; it finds the latency at a rate.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from loadtests.errors import AnswerError, PartError
from loadtests.measure import Outcome

WAIT_SECONDS = 60
"""How long the server may take to settle a batch: the most that PROTOCOL.md lets a client ask for."""

_ANSWER_SECONDS = WAIT_SECONDS + 10


@dataclass(frozen=True, slots=True)
class Batch:
    """One request: the NDJSON bytes as they are sent, and the number of items in them."""

    name: str
    body: bytes
    items: int


@dataclass(slots=True)
class _Tally:
    latencies: list[float] = field(default_factory=list)
    items: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    def add(self, seconds: float, answer: dict[str, Any]) -> None:
        self.latencies.append(seconds)
        self.items += answer["succeeded"]
        self.inserted += answer["inserted"]
        self.updated += answer["updated"]
        self.unchanged += answer["unchanged"]


async def drive(
    url: str,
    table: str,
    batches: Sequence[Batch],
    *,
    in_flight: int,
    warm_up: Sequence[Batch] = (),
    gate: Callable[[], Awaitable[None]] | None = None,
    starts: Sequence[float] | None = None,
) -> Outcome:
    """Send `batches`; the clock starts after `warm_up` and `gate`. `starts` are seconds on that clock, ascending.

    Raises `AnswerError` for the first batch that is not committed whole, `PartError` where no answer comes.
    """
    address = f"{url}/v1/tables/{quote(table, safe='')}/batches"
    connector = aiohttp.TCPConnector(limit=in_flight if starts is None else 0)
    timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        tally = _Tally()
        try:
            await _closed(session, address, warm_up, in_flight, _Tally())
            if gate is not None:
                await gate()
            started = time.perf_counter()
            if starts is None:
                await _closed(session, address, batches, in_flight, tally)
            else:
                await _open(session, address, batches, starts, tally)
        except ExceptionGroup as group:
            raise _cause(group) from group
        seconds = time.perf_counter() - started
    return Outcome(seconds, tuple(tally.latencies), tally.items, tally.inserted, tally.updated, tally.unchanged)


def arrivals(rate: float, count: int, seed: int) -> list[float]:
    """`count` seeded arrival times in seconds, `rate` a second on average, as independent crawls send (Poisson)."""
    chance = random.Random(f"arrivals/{seed}")
    now = 0.0
    return [now := now + chance.expovariate(rate) for _ in range(count)]


async def _closed(
    session: aiohttp.ClientSession, address: str, batches: Sequence[Batch], in_flight: int, tally: _Tally
) -> None:
    rest = iter(batches)

    async def work() -> None:
        for batch in rest:
            await _send(session, address, batch, time.perf_counter(), tally)

    async with asyncio.TaskGroup() as group:
        for number in range(in_flight):
            group.create_task(work(), name=f"sender-{number}")


async def _open(
    session: aiohttp.ClientSession, address: str, batches: Sequence[Batch], starts: Sequence[float], tally: _Tally
) -> None:
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for batch, start in zip(batches, starts, strict=True):
            await asyncio.sleep(began + start - time.perf_counter())
            group.create_task(_send(session, address, batch, began + start, tally), name=f"batch-{batch.name}")


async def _send(session: aiohttp.ClientSession, address: str, batch: Batch, start: float, tally: _Tally) -> None:
    headers = {
        "Content-Type": "application/x-ndjson",
        "Idempotency-Key": batch.name,
        "Prefer": f"wait={WAIT_SECONDS}",
    }
    async with session.post(address, data=batch.body, headers=headers) as response:
        said = await response.read()
    seconds = time.perf_counter() - start
    tally.add(seconds, _checked(batch, response.status, said))


def _checked(batch: Batch, status: int, said: bytes) -> dict[str, Any]:
    """The answer, if it says that this batch's items, all of them and no others, are committed."""
    wrong = AnswerError(batch=batch.name, status=status, said=said[:500].decode(errors="replace"))
    if status != 200:
        raise wrong
    try:
        answer: dict[str, Any] = orjson.loads(said)
        whole = (
            answer["ack"] == "committed"
            and answer["total"] == answer["processed"] == answer["succeeded"] == batch.items
            and answer["failed"] == 0
            and answer["inserted"] + answer["updated"] + answer["unchanged"] == batch.items
        )
    except (ValueError, KeyError, TypeError) as error:
        raise wrong from error
    if not whole:
        raise wrong
    return answer


def _cause(group: ExceptionGroup) -> Exception:
    """The first thing that went wrong, in this run's words."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, (aiohttp.ClientError, OSError, TimeoutError)):
        return PartError(part="server", said=f"{type(error).__name__}: {error}")
    return error
