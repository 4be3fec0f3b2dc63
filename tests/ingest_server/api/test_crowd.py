"""Among many connections none is read further than somebody wants."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from aiohttp import web

from ingest_server.api.connections import ConnectionBounds
from ingest_server.api.protocol import Runner, body_of

BODY = 4 * 2**20


class Server:
    """Takes up a request, and reads its body when it may."""

    def __init__(self) -> None:
        self.request: asyncio.Future[web.Request] = asyncio.get_running_loop().create_future()
        self.may_read = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        self.request.set_result(request)
        await self.may_read.wait()
        return web.Response(text=str(sum([len(piece) async for piece in body_of(request)])))


@contextlib.asynccontextmanager
async def serving(server: Server, crowd: int) -> AsyncIterator[int]:
    """Its port."""
    application = web.Application()
    application.router.add_post("/", server.handle)
    runner = Runner(application, access_log=False, bounds=ConnectionBounds(crowd=crowd), cut=lambda _why, _whose: None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def post(path: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY}\r\n\r\n".encode()


def kernels_room(transport: asyncio.Transport) -> int:
    # Linux makes it twice as much, for its own bookkeeping: socket(7)
    room: int = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return room


async def test_of_a_crowd_nobody_is_read_ahead_and_the_body_arrives_once_it_is_wanted() -> None:
    server = Server()
    async with serving(server, 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/"))
        request = await server.request
        writer.write(bytes(BODY))
        transport = request.transport
        assert transport is not None
        assert not transport.is_reading()
        assert kernels_room(transport) <= 2 * 2**14
        server.may_read.set()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await reader.readuntil(b"\r\n\r\n")
        assert int(await reader.readexactly(len(str(BODY)))) == BODY
        writer.close()


async def test_of_a_crowd_a_body_that_nobody_wants_leaves_the_connection_in_order() -> None:
    async with serving(Server(), 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/elsewhere"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 404")
        writer.write(bytes(BODY))
        writer.write(b"GET /elsewhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).count(b"HTTP/1.1 404") == 1
        writer.close()


async def test_of_few_the_kernel_decides() -> None:
    server = Server()
    async with serving(server, 1) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/"))
        transport = (await server.request).transport
        assert transport is not None
        assert transport.is_reading()
        assert kernels_room(transport) > 2 * 2**14
        writer.transport.abort()
        server.may_read.set()
