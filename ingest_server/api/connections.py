"""How many connections there may be, and how long each may keep its place without a request.

aiohttp waits an hour for the first byte and for every further one of a request's head, buffers a mebibyte of headers, and has
no bound on connections. Here a connection has its place while a request of its is worked on; else it must come to one in time.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from ingest_server.api.problems import plain_problem

_MOST_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """What connections may do: how many at once, seconds for a head, seconds between requests, bytes of a head.

    Above `crowd` connections each is read no further than its request, until somebody wants the body: what is read ahead is
    accounted for by nobody, and of two thousand connections it was 150 MiB.
    """

    most: int = 2000
    head_seconds: float = 10.0
    idle_seconds: float = 75.0
    head_bytes: int = 64 * 2**10
    crowd: int = 256


Cut = Callable[[str, str], None]
"""Told of each connection that was cut: why (head, idle, full, unread, body), and whose it was."""


class Connection(Protocol):
    """One connection, as the doorkeeper sees it. Times are the event loop's, None where nobody waits for that."""

    head_since: float | None
    idle_since: float | None
    unread_since: float | None

    def cut(self, reason: str) -> None:
        """End it."""


class Connections:
    """All connections of one server. Its task looks at them about once a second."""

    def __init__(self, bounds: ConnectionBounds, told: Cut, clock: Callable[[], float]) -> None:
        self.bounds = bounds
        self.told = told
        self.clock = clock
        self._open: dict[Connection, None] = {}
        self._overdue: dict[Connection, str] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    @property
    def are_a_crowd(self) -> bool:
        """Whether there are so many that none may be read ahead."""
        return len(self._open) > self.bounds.crowd

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look(), name="connections")

    async def stop(self) -> None:
        """End that."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def made(self, new: Connection) -> None:
        """A client has connected. Where there are too many, the one that waits longest for a request goes, or else this one."""
        self._open[new] = None
        if len(self._open) <= self.bounds.most:
            return
        waiting = [(since, one) for one in self._open if one is not new and (since := _waits_since(one)) is not None]
        longest = min(waiting, key=lambda found: found[0])[1] if waiting else new
        self._open.pop(longest)
        longest.cut("full")

    def lost(self, gone: Connection) -> None:
        """It has ended."""
        self._open.pop(gone, None)

    def sweep(self) -> None:
        """Cut those whose time was over at the last sweep too: what has come meanwhile may only wait to be read."""
        overdue = {one: reason for one in self._open if (reason := self._overdue_for(one)) is not None}
        for one, reason in overdue.items():
            if self._overdue.get(one) == reason:
                one.cut(reason)
        self._overdue = overdue

    def _overdue_for(self, one: Connection) -> str | None:
        now, bounds = self.clock(), self.bounds
        if one.head_since is not None and now - one.head_since > bounds.head_seconds:
            return "head"
        if one.idle_since is not None and now - one.idle_since > bounds.idle_seconds:
            return "idle"
        if one.unread_since is not None and now - one.unread_since > bounds.idle_seconds:
            return "unread"
        return None

    async def _look(self) -> None:
        pause = min(_MOST_BETWEEN_LOOKS, self.bounds.head_seconds / 4, self.bounds.idle_seconds / 4)
        while True:
            await asyncio.sleep(pause)
            self.sweep()


def _waits_since(one: Connection) -> float | None:
    return one.head_since if one.head_since is not None else one.idle_since


def written_out(status: int, detail: str, *, retry_after: int | None = None) -> bytes:
    """A problem as the bytes of an answer that ends its connection, for where there is no request to answer."""
    response = plain_problem(status, detail, retry_after=retry_after)
    assert isinstance(response.body, bytes)
    again = "" if retry_after is None else f"Retry-After: {retry_after}\r\n"
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\n{again}Connection: close\r\n\r\n"
    )
    return head.encode() + response.body
