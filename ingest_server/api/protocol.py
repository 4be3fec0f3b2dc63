"""HTTP below the handlers: what aiohttp would decide before it asks us.

Its own runner answers `Expect: 100-continue` before a handler was asked, so that every body is sent whatever becomes of
it, and answers what it cannot parse in plain text. Here a body is asked for by the handler that reads it, and everything
that is refused is a problem.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http import HttpRequestParser, RawRequestMessage

from ingest_server.api.access_log import AccessLog, log
from ingest_server.api.connections import ConnectionBounds, Connections, Cut, written_out
from ingest_server.api.probes import Probes, ends_there
from ingest_server.api.problems import plain_problem
from ingest_server.api.unwanted import UnwantedBodies
from ingest_server.errors import BadRequest
from ingest_server.turns import request_turn

# The body is not asked for yet, and the client waits for that.
_EXPECTS: web.RequestKey[bool] = web.RequestKey("expects", bool)

# They are answered however many others have come before.
_PROBES = frozenset({"/livez", "/readyz", "/metrics"})

_Answering = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
# Handlers that are still at work when everything else has ended.
_SHUTDOWN_SECONDS = 5.0
# What aiohttp reads ahead of a handler, twice, and how many requests it takes up before one is answered: by themselves 512
# KiB and 32 for each connection, which nobody accounts for.
_READ_BYTES = 2**16
_REQUESTS_AHEAD = 4
# What the kernel takes for one connection of a crowd: uvloop reads all of that at once.
_CROWDED_BYTES = 2**14


class Runner(web.AppRunner):
    """Serves an application. Bodies are decoded by `ingest_server.inflate`, which stops at the limit."""

    def __init__(self, app: web.Application, *, access_log: bool, bounds: ConnectionBounds, cut: Cut) -> None:
        self._connections = Connections(bounds, cut, lambda: asyncio.get_running_loop().time())
        super().__init__(
            app,
            auto_decompress=False,
            access_log=log if access_log else None,
            access_log_class=AccessLog,
            handler_cancellation=False,
            shutdown_timeout=_SHUTDOWN_SECONDS,
            keepalive_timeout=2 * bounds.idle_seconds + 60,  # `connections` is sooner
            lingering_time=0,  # and `unwanted` to what is left of a body
            read_bufsize=_READ_BYTES,
        )

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        self._connections.start()
        return _Server(
            self._connections,
            _leaves_bodies_alone(made.request_handler),
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=asyncio.get_running_loop(),
            **made._kwargs,  # noqa: SLF001  aiohttp has no door for a connection class of one's own
        )

    async def cleanup(self) -> None:
        """End all connections."""
        await super().cleanup()
        await self._connections.stop()


async def body_of(request: web.Request) -> AsyncIterator[bytes]:
    """The body's pieces as they arrive; a client that waits to be asked for them is asked now.

    Raises `BadRequest` where the body breaks off or is not what its framing says.
    """
    connection = request.protocol
    if isinstance(connection, _Connection):
        connection.read_on()
    if request.get(_EXPECTS):
        request[_EXPECTS] = False
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # or aiohttp believes that the answer has begun
        await request.writer.drain()
    try:
        async for piece in request.content.iter_any():
            yield piece
    except (web.RequestPayloadError, ConnectionError):
        raise BadRequest("the body broke off, or is not what its headers say") from None


class _Server(web.Server):
    def __init__(self, connections: Connections, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._connections_bound = connections
        self._probes = Probes()
        self._unwanted = UnwantedBodies()

    def __call__(self) -> web.RequestHandler:
        shared = self._connections_bound, self._probes, self._unwanted
        return _Connection(self, *shared, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    __slots__ = (
        "_connections",
        "_head_bytes",
        "_is_at_work",
        "_is_held",
        "_probe",
        "_probes",
        "_unwanted",
        "head_since",
        "idle_since",
        "unread_since",
    )

    def __init__(
        self, server: web.Server, connections: Connections, probes: Probes, unwanted: UnwantedBodies, **more: Any
    ) -> None:
        super().__init__(server, **more)
        self._max_msg_queue_size = _REQUESTS_AHEAD
        self._msg_queue_resume_size = _REQUESTS_AHEAD // 2
        self._parser = HttpRequestParser(
            *(self, self._loop, _READ_BYTES),
            max_line_size=self.max_line_size,
            max_field_size=self.max_field_size,
            max_headers=self.max_headers,
            payload_exception=web.RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=_REQUESTS_AHEAD,
        )
        self._connections = connections
        self._probes = probes
        self._unwanted = unwanted
        self._probe: bytes | None = None
        self._head_bytes = 0
        self._is_at_work = self._is_held = False
        self.head_since: float | None = None
        self.idle_since: float | None = None
        self.unread_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give it a place; its first request has to come like any head."""
        super().connection_made(transport)
        self.head_since = self._connections.clock()
        self._connections.made(self)
        if self._connections.are_a_crowd:
            with contextlib.suppress(OSError):  # it may have gone already
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CROWDED_BYTES)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place back."""
        self._connections.lost(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes outside of bodies, and tell the handler of a body that can no longer be parsed.

        aiohttp forgets such a body, and the handler would wait for its time-out.
        """
        is_probe = not (self._is_at_work or self._head_bytes or self._logging_enabled) and self._probes.is_one(data)
        if is_probe and self._answers_at_once(data):
            return
        self._probe = data if is_probe else None
        before, current = self._request_count, self._current_request
        is_head = not self._is_at_work or (current is not None and current.content.is_eof())
        super().data_received(data)
        if self._request_count != before:
            self._is_at_work, self._head_bytes = True, 0
            self.head_since = self.idle_since = None
            self._hold_in_a_crowd()
        elif is_head:
            self._count_head(len(data))
        request = self._current_request
        if request is None or request.content.is_eof() or not self._messages:
            return
        if not isinstance(self._messages[-1][0], RawRequestMessage):
            request.content.set_exception(web.RequestPayloadError())

    def _hold_in_a_crowd(self) -> None:
        if self._connections.are_a_crowd and self.transport is not None and not self._messages[-1][1].is_eof():
            self._is_held = True
            self.transport.pause_reading()

    def read_on(self) -> None:
        """Somebody wants the body."""
        if self._is_held and self.transport is not None:
            self._is_held = False
            self.transport.resume_reading()

    def _answers_at_once(self, data: bytes) -> bool:
        answer = self._probes.answer(data)
        if answer is None or self.transport is None or self._force_close or self._close:
            return False
        self.transport.write(answer)
        self.head_since, self.idle_since = None, self._connections.clock()
        if ends_there(data):
            self.force_close()
        return True

    def _count_head(self, size: int) -> None:
        if not size:
            return
        self._head_bytes += size
        if self.head_since is None and not self._is_at_work:
            self.head_since, self.idle_since = self._connections.clock(), None
        if self._head_bytes > self._connections.bounds.head_bytes:
            self.cut("head")

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer, read what is left of the body, and wait for the next request."""
        finished = await super().finish_response(request, resp, start_time)
        if self._probe is not None:
            self._probes.learn(self._probe, resp)
            self._probe = None
        self.read_on()
        await self._unwanted.throw_away(self, request.content)
        if not self._messages:
            self._is_at_work = False
            now = self._connections.clock()
            self.head_since, self.idle_since = (now, None) if self._head_bytes else (None, now)
        return finished

    def pause_writing(self) -> None:
        """The client does not read what it asked for."""
        super().pause_writing()
        self.unread_since = self._connections.clock()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self.unread_since = None

    def cut(self, reason: str) -> None:
        """End it, with an answer where a request had begun to come."""
        transport = self.transport
        if transport is None:
            return
        peer = self.peername
        self._connections.told(reason, str(peer[0]) if isinstance(peer, tuple) else "somewhere")
        self._connections.lost(self)
        if reason in ("unread", "body"):
            transport.abort()
        elif self._is_at_work:
            pass  # an answer is being written
        elif reason == "head" and self._head_bytes > self._connections.bounds.head_bytes:
            transport.write(written_out(431, "the head of a request has 64 KiB at most"))
        elif reason == "head" and self._head_bytes:
            transport.write(written_out(408, "the head of the request did not arrive in time"))
        elif reason == "full" and self.idle_since is None:
            transport.write(written_out(503, "there are as many connections as may be", retry_after=5))
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  it may hold what was sent
    ) -> web.StreamResponse:
        """A problem for what could not be parsed. The connection ends: nobody knows where the next request would begin."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        self.log_debug("cannot serve a request from %s: %s", request.remote, type(exc).__name__)
        detail = "this is no HTTP/1.1 request, or its first line or one of its headers is too long"
        response = plain_problem(status, detail if status < 500 else "an error that is ours")
        response.force_close()
        return response


def _leaves_bodies_alone(handler: Any) -> _Answering:
    async def answered(request: web.BaseRequest) -> web.StreamResponse:
        if request.path not in _PROBES:
            await request_turn()
        if request.headers.get(hdrs.TRANSFER_ENCODING, "chunked").strip().lower() != "chunked":
            # aiohttp undoes the outermost coding alone, and what is below would be taken for the body
            response: web.StreamResponse = plain_problem(501, "the one Transfer-Encoding that is known here is chunked")
            response.force_close()
            return response
        if hdrs.EXPECT not in request.headers:
            return await _sent_completely(request, handler)
        assert isinstance(request, web.Request)
        headers = request.headers.copy()
        expected = headers.popall(hdrs.EXPECT)
        try:
            asked = request.clone(headers=headers)
        except UnicodeEncodeError:
            response = plain_problem(400, "a header holds what is neither ASCII nor UTF-8")
            response.force_close()
            return response
        asked[_EXPECTS] = request.version >= (1, 1) and [one.lower() for one in expected] == ["100-continue"]
        response = await _sent_completely(asked, handler)
        if asked[_EXPECTS]:
            response.force_close()  # what comes next may be the body or another request, and nobody can tell
        return response

    return answered


async def _sent_completely(request: web.BaseRequest, handler: Any) -> web.StreamResponse:
    response: web.StreamResponse = await handler(request)
    if request.content.exception() is not None:
        response.force_close()
    return response
