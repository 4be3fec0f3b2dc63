"""The contract's server as far as a client can see it, by hand, in memory, on a real socket; and it does as it is told."""

import asyncio
import gzip
import json
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from backports import zstd

Trick = Callable[["FakeServer", web.Request, bytes], Awaitable[web.StreamResponse | None]]
"""Answers in the server's place; None lets the server answer."""


@dataclass(frozen=True)
class Stored:
    """A batch as it arrived."""

    id: str
    table: str
    crawl: str
    items: list[dict[str, Any]]


class FakeServer:
    """Stores what arrives, once for each name. `tricks` are played on the next sent batches, one each."""

    def __init__(self) -> None:
        self.batches: dict[str, Stored] = {}
        self.sent: list[str] = []
        """The name of every POST of a batch, refused ones too."""
        self.headers: list[dict[str, str]] = []
        self.asked: list[str] = []
        self.closes: list[dict[str, Any]] = []
        self.tricks: deque[Trick] = deque()
        self.always: Trick | None = None
        self.in_memory: dict[str, Stored] = {}
        self.on_ask: deque[Trick] = deque()
        self.on_close: deque[Trick] = deque()
        self.arrived = asyncio.Event()
        """Set with every batch that is sent."""
        self.url = ""

    @property
    def items(self) -> list[dict[str, Any]]:
        """Everything that was stored."""
        return [item for batch in self.batches.values() for item in batch.items]

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/tables/{table}/batches", self._receive)
        app.router.add_get("/v1/batches/{id}", self._status)
        app.router.add_post("/v1/crawls/{crawl}/close", self._close)
        return app

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        name = request.headers["Idempotency-Key"]
        self.sent.append(name)
        self.headers.append(dict(request.headers))
        self.arrived.set()
        trick = self.tricks.popleft() if self.tricks else self.always
        if trick is not None:
            answer = await trick(self, request, body)
            if answer is not None:
                return answer
        return web.json_response(self.about(self.store(request, body), "committed"))

    def store(self, request: web.Request, body: bytes) -> Stored:
        batch = read_batch(request, body)
        return self.batches.setdefault(batch.id, batch)

    async def _status(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["id"]
        self.asked.append(name)
        if self.on_ask:
            answer = await self.on_ask.popleft()(self, request, b"")
            if answer is not None:
                return answer
        if name in self.in_memory:
            self.batches.setdefault(name, self.in_memory.pop(name))
        if name not in self.batches:
            return problem(404, "no such batch")
        return web.json_response(self.about(self.batches[name], "committed"))

    async def _close(self, request: web.Request) -> web.StreamResponse:
        said = await request.json()
        self.closes.append({"crawl": request.match_info["crawl"], **said})
        if self.on_close:
            answer = await self.on_close.popleft()(self, request, b"")
            if answer is not None:
                return answer
        expected = said["items"] - said["rejected"] - said["dropped"] - said["spooled"]
        done = sum(len(one.items) for one in self.batches.values() if one.crawl == request.match_info["crawl"])
        return web.json_response(
            {"inserted": done, "updated": 0, "unchanged": 0, "failed": 0, "processed": done, "pending": 0}
            | {"expected": expected, "missing": expected - done}
        )

    @staticmethod
    def about(batch: Stored, ack: str, **more: Any) -> dict[str, Any]:
        total = len(batch.items)
        return {
            "id": batch.id,
            "table": batch.table,
            "ack": ack,
            "total": total,
            "failed": 0,
            "succeeded": total,
        } | more


def read_batch(request: web.Request, body: bytes) -> Stored:
    # aiohttp's server has undone gzip and deflate already; zstd too where it knows it.
    if body.startswith(b"\x28\xb5\x2f\xfd"):
        body = zstd.decompress(body)
    elif body.startswith(b"\x1f\x8b"):
        body = gzip.decompress(body)
    items = [json.loads(line) for line in body.split(b"\n") if line]
    headers = request.headers
    return Stored(headers["Idempotency-Key"], request.match_info["table"], headers["Ingest-Crawl"], items)


@asynccontextmanager
async def serving(server: FakeServer, port: int = 0, *, tls: ssl.SSLContext | None = None):
    """The server on a port of loopback, 0 for a free one; `server.url` says which."""
    runner = web.AppRunner(server.app(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


def problem(status: int, title: str, detail: str = "", *, table: str | None = None, **headers: str) -> web.Response:
    return web.json_response(
        {"title": title, "status": status, "detail": detail} | ({} if table is None else {"table": table}),
        status=status,
        content_type="application/problem+json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def says(status: int, title: str = "", detail: str = "", **headers: str) -> Trick:
    """Answers with a problem."""

    async def trick(_server: FakeServer, _request: web.Request, _body: bytes) -> web.Response:
        return problem(status, title, detail, **headers)

    return trick


def shows(status: int, text: str, content_type: str = "text/html") -> Trick:
    """Answers with a page, as a proxy does."""

    async def trick(_server: FakeServer, _request: web.Request, _body: bytes) -> web.Response:
        return web.Response(status=status, text=text, content_type=content_type)

    return trick


def acknowledges(ack: str, status: int, **more: Any) -> Trick:
    """Takes the batch with this word; `memory` is stored only when somebody asks for it."""

    async def trick(server: FakeServer, request: web.Request, body: bytes) -> web.Response:
        batch = read_batch(request, body)
        (server.in_memory if ack == "memory" else server.batches)[batch.id] = batch
        return web.json_response(server.about(batch, ack, **more), status=status)

    return trick


def forgets() -> Trick:
    """Says `memory` and knows nothing of it afterwards, as a server that was killed."""

    async def trick(server: FakeServer, request: web.Request, body: bytes) -> web.Response:
        return web.json_response(server.about(read_batch(request, body), "memory"), status=202)

    return trick


def drops(after_storing: bool = False) -> Trick:
    """Cuts the connection off, before or after it kept the batch."""

    async def trick(server: FakeServer, request: web.Request, body: bytes) -> web.Response:
        if after_storing:
            server.store(request, body)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return trick


def takes_at_most(items: int) -> Trick:
    """Refuses larger batches with 413."""

    async def trick(_server: FakeServer, request: web.Request, body: bytes) -> web.Response | None:
        if len(read_batch(request, body).items) > items:
            return problem(413, "too many items", f"at most {items}")
        return None

    return trick


class Holding:
    """Keeps every answer back until `go` is set. `reached` is set when the first one waits."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, _server: FakeServer, _request: web.Request, _body: bytes) -> None:
        self.reached.set()
        await self.go.wait()
