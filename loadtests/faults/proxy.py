"""A relay between two parts that misbehaves as networks and proxies do, as it is told and from that moment on.

It stands between crawl and server (HTTP, which it understands just enough) and between server and PostgreSQL (which it
passes on blindly; there only `Through`, `Delay`, `Silent` and `Reset` have a meaning).
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from loadtests.faults.framing import Framing, Piece

Target = tuple[str, int] | Path
"""Where a proxy leads: host and port, or the path of a Unix socket."""

_PIECE = 256 * 1024
_LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Through:
    """Everything passes."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Whatever passes waits `seconds` first, in both directions, 256 KiB at a time: slow, and narrow too."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Silent:
    """Connections are accepted and held, nothing is passed on. What was under way goes on when another behaviour comes."""


@dataclass(frozen=True, slots=True)
class Reset:
    """RST for every connection there is, and for every new one."""


@dataclass(frozen=True, slots=True)
class LoseAnswers:
    """Of every n-th request with a body the answer is read to its end and thrown away; then the connection closes."""

    every: int = 1


@dataclass(frozen=True, slots=True)
class TruncateRequests:
    """Of every n-th request with a body half the body arrives; then the connection breaks on both sides."""

    every: int = 1


@dataclass(frozen=True, slots=True)
class AnswerWith:
    """Every n-th request is answered by the proxy itself, with this status and an HTML page; the server never sees it."""

    status: int
    every: int = 1


@dataclass(frozen=True, slots=True)
class HoldAnswers:
    """What was asked is done, and nobody learns it: requests pass, and from `sign` on the answers of that connection wait.

    In HTTP the sign is looked for in the heads of answers to requests with a body, in PostgreSQL's protocol in what is asked.
    """

    sign: bytes


Behaviour = Through | Delay | Silent | Reset | LoseAnswers | TruncateRequests | AnswerWith | HoldAnswers


class _End(Exception):
    """The connection ends here, on purpose."""


class Proxy:
    """A TCP relay to `target` in the running loop, from `start` to `stop`; also `async with Proxy(target) as port`.

    `target` may be set anew at any time (a server that came back on another port); it holds for new connections.
    `hits` counts how often the present behaviour struck: answers lost or held, requests cut, own answers, resets.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.behaviour: Behaviour = Through()
        self.hits = 0
        self._counted = 0
        self._changed = asyncio.Event()
        self._listening: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[_Connection] = set()

    async def start(self, port: int = 0) -> int:
        """Listen on 127.0.0.1, on a free port unless one is named, and return it."""
        self._listening = socket.create_server(("127.0.0.1", port), backlog=512)
        self._listening.setblocking(False)
        self._own(self._accept(self._listening), "proxy accepts")
        return int(self._listening.getsockname()[1])

    async def stop(self) -> None:
        """Listen no more and reset every connection. May be called twice."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    async def __aenter__(self) -> int:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def behave(self, behaviour: Behaviour) -> None:
        """Behave like this from now on, on connections that are open too. Counting (`every`, `hits`) begins anew."""
        self.behaviour = behaviour
        self.hits = self._counted = 0
        self._changed.set()
        self._changed = asyncio.Event()
        if isinstance(behaviour, Reset):
            for connection in tuple(self._connections):
                connection.reset()

    @property
    def connections(self) -> int:
        """How many connections are open towards this proxy."""
        return len(self._connections)

    def strikes(self, every: int) -> bool:
        """Count one request; whether it is the n-th."""
        self._counted += 1
        struck = self._counted % every == 0
        self.hits += struck
        return struck

    async def passable(self) -> None:
        """Return once something may pass on: at once, late, or never while it is silent."""
        while isinstance(self.behaviour, Silent):
            await self._changed.wait()
        if isinstance(self.behaviour, Delay):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self.behaviour.seconds)
            if isinstance(self.behaviour, Silent):
                await self.passable()

    async def held(self) -> None:
        """Return when answers are not held any more."""
        while isinstance(self.behaviour, HoldAnswers):
            await self._changed.wait()

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listening)
            connection = _Connection(self, client)
            self._connections.add(connection)
            connection.task = self._own(connection.run(), "proxy connection")
            connection.task.add_done_callback(partial(self._ended, connection))

    def _ended(self, connection: "_Connection", _: "asyncio.Task[None]") -> None:
        connection.close()  # here, not in its task: one that is cancelled before its first step runs nothing
        self._connections.discard(connection)


class _Connection:
    """One client's connection and, once something may pass, the one to the target that belongs to it."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        self._asked: deque[Piece] = deque()
        self._gentle = False
        self._has_asked: HoldAnswers | None = None
        self.task: asyncio.Task[None] | None = None

    def reset(self) -> None:
        """RST on both sides."""
        self._proxy.hits += 1
        if self.task is not None:
            self.task.cancel()

    async def run(self) -> None:
        try:
            if isinstance(self._proxy.behaviour, Reset):
                self._proxy.hits += 1
                return
            await self._proxy.passable()
            self._server = await self._connect()
            async with asyncio.TaskGroup() as both:
                both.create_task(self._requests(self._server))
                both.create_task(self._answers(self._server))
        except* (_End, OSError):
            pass

    def close(self) -> None:
        """Both sockets: with FIN where the end is a gentle one, else with RST."""
        for one in (self._client, self._server):
            if one is not None:
                if not self._gentle and one.family != socket.AF_UNIX:
                    with contextlib.suppress(OSError):
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
                one.close()

    async def _connect(self) -> socket.socket:
        target = self._proxy.target
        family = socket.AF_UNIX if isinstance(target, Path) else socket.AF_INET
        server = socket.socket(family)
        server.setblocking(False)
        try:
            await self._loop.sock_connect(server, os.fspath(target) if isinstance(target, Path) else target)
        except BaseException:
            server.close()
            raise
        for one in (server, self._client):
            if one.family != socket.AF_UNIX:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server

    async def _requests(self, server: socket.socket) -> None:
        framing = Framing(answers=False)
        budget = -1  # bytes of this body that may still arrive before the cut; below 0: all of them
        own_answer: AnswerWith | None = None
        while data := await self._loop.sock_recv(self._client, _PIECE):
            await self._proxy.passable()
            for piece in framing.feed(data):
                behaviour = self._proxy.behaviour
                if framing.opaque and isinstance(behaviour, HoldAnswers) and behaviour.sign in bytes(piece.data):
                    self._proxy.hits += 1
                    self._has_asked = behaviour
                if piece.starts:
                    own_answer = None
                    if isinstance(behaviour, AnswerWith) and self._proxy.strikes(behaviour.every):
                        own_answer = behaviour
                    elif isinstance(behaviour, TruncateRequests) and piece.length > 1:
                        budget = piece.length // 2 if self._proxy.strikes(behaviour.every) else -1
                    if own_answer is None:
                        self._asked.append(piece)
                        await self._loop.sock_sendall(server, piece.data)
                elif own_answer is None:
                    whole = budget < 0 or len(piece.data) < budget
                    await self._loop.sock_sendall(server, piece.data if whole else piece.data[:budget])
                    if not whole:
                        self._gentle = True  # RST could take away what the server has not read yet
                        raise _End
                    budget -= len(piece.data) if budget >= 0 else 0
                if own_answer is not None and piece.ends:
                    await self._loop.sock_sendall(self._client, _page(own_answer.status))
                    self._gentle = True
                    raise _End
        server.shutdown(socket.SHUT_WR)

    async def _answers(self, server: socket.socket) -> None:
        framing = Framing(answers=True)
        lost = False
        while data := await self._loop.sock_recv(server, _PIECE):
            await self._proxy.passable()
            framing.opaque = framing.opaque or not self._asked
            framing.bodyless = bool(self._asked) and self._asked[0].method == "HEAD"
            for piece in framing.feed(data):
                behaviour = self._proxy.behaviour
                if piece.starts and isinstance(behaviour, LoseAnswers) and self._asked[0].length:
                    lost = self._proxy.strikes(behaviour.every)
                if self._is_held(piece, behaviour):
                    await self._proxy.held()
                if not lost:
                    await self._loop.sock_sendall(self._client, piece.data)
                if piece.ends:
                    self._asked.popleft()
                    if lost:
                        self._gentle = True
                        raise _End
        self._gentle = True
        raise _End  # the target has closed: nothing more comes, so nothing more is asked

    def _is_held(self, piece: Piece, behaviour: Behaviour) -> bool:
        if not isinstance(behaviour, HoldAnswers):
            return False
        if piece.starts and self._asked[0].length and behaviour.sign in bytes(piece.data):
            self._proxy.hits += 1
            return True
        return self._has_asked is behaviour


def _page(status: int) -> bytes:
    """What a proxy in front of a server says for itself: a page for people, and nothing of our contract."""
    reasons = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Time-out"}
    title = f"{status} {reasons.get(status, 'Error')}"
    page = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>\r\n"
    head = f"HTTP/1.1 {title}\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
    return (head + page).encode()
