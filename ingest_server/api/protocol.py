"""HTTP below the handlers: what aiohttp would decide before it asks us.

Its own runner answers `Expect: 100-continue` before a handler was asked, so that every body is sent whatever becomes of
it, and answers what it cannot parse in plain text. Here a body is asked for by the handler that reads it, and everything
that is refused is a problem.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http import RawRequestMessage

from ingest_server.api.problems import plain_problem
from ingest_server.errors import BadRequest

# The body is not asked for yet, and the client waits for that.
_EXPECTS: web.RequestKey[bool] = web.RequestKey("expects", bool)

_Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
# Handlers that are still at work when everything else has ended.
_SHUTDOWN_SECONDS = 5.0


class Runner(web.AppRunner):
    """Serves an application. Bodies are decoded by `ingest_server.inflate`, which stops at the limit."""

    def __init__(self, app: web.Application) -> None:
        super().__init__(
            app, auto_decompress=False, access_log=None, handler_cancellation=False, shutdown_timeout=_SHUTDOWN_SECONDS
        )

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            _leaves_bodies_alone(made.request_handler),
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=asyncio.get_running_loop(),
            **made._kwargs,  # noqa: SLF001  aiohttp has no door for a connection class of one's own
        )


async def body_of(request: web.Request) -> AsyncIterator[bytes]:
    """The body's pieces as they arrive; a client that waits to be asked for them is asked now.

    Raises `BadRequest` where the body breaks off or is not what its framing says.
    """
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
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Tell the handler of a body that can no longer be parsed: aiohttp forgets it, and it would wait for its time-out."""
        super().data_received(data)
        request = self._current_request
        if request is None or request.content.is_eof() or not self._messages:
            return
        if not isinstance(self._messages[-1][0], RawRequestMessage):
            request.content.set_exception(web.RequestPayloadError())

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


def _leaves_bodies_alone(handle: Any) -> _Handle:
    async def handle_request(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get(hdrs.TRANSFER_ENCODING, "chunked").strip().lower() != "chunked":
            # aiohttp undoes the outermost coding alone, and what is below would be taken for the body
            response: web.StreamResponse = plain_problem(501, "the one Transfer-Encoding that is known here is chunked")
            response.force_close()
            return response
        if hdrs.EXPECT not in request.headers:
            return await _sent_completely(request, handle)
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
        response = await _sent_completely(asked, handle)
        if asked[_EXPECTS]:
            response.force_close()  # what comes next may be the body or another request, and nobody can tell
        return response

    return handle_request


async def _sent_completely(request: web.BaseRequest, handle: Any) -> web.StreamResponse:
    response: web.StreamResponse = await handle(request)
    if request.content.exception() is not None:
        response.force_close()
    return response
