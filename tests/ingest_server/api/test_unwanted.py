"""Bodies that were refused, thrown away over real connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol

from ingest_server.api.unwanted import UnwantedBodies

BODY = 4 * 2**20
HEAD = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {BODY}\r\n\r\n".encode()


class Refused:
    """A connection whose body nobody wants."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self.content: StreamReader = request.content
        self.cut_for = ""

    @property
    def transport(self) -> asyncio.Transport | None:
        return self._request.protocol.transport

    def cut(self, reason: str) -> None:
        self.cut_for = reason
        assert self.transport is not None
        self.transport.abort()


class Line:
    """A line in which nobody's turn comes before the end."""

    def __init__(self) -> None:
        self._joined: asyncio.Queue[None] = asyncio.Queue()
        self.ends = asyncio.Event()

    async def take_turn(self) -> None:
        self._joined.put_nowait(None)
        await self.ends.wait()

    async def reached(self, count: int) -> None:
        for _ in range(count):
            await self._joined.get()


@contextlib.asynccontextmanager
async def refusing(unwanted: UnwantedBodies, line: Line | None = None) -> AsyncIterator[tuple[int, list[Refused]]]:
    """A server that throws every body away: its port, and its connections in the order of their requests."""
    refused: list[Refused] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        one = Refused(request)
        refused.append(one)
        await unwanted.throw_away(one, one.content)
        return web.Response(status=503)

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1], refused
    finally:
        if line is not None:
            line.ends.set()
        await runner.cleanup()


@contextlib.asynccontextmanager
async def sending(port: int, size: int = BODY) -> AsyncIterator[asyncio.StreamReader]:
    """A client that sends a head and so much of its body; what it reads."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD + bytes(size))
    try:
        yield reader
    finally:
        writer.transport.abort()


async def test_a_body_that_nobody_wants_is_read_to_its_end() -> None:
    async with refusing(UnwantedBodies()) as (port, refused), sending(port) as reader:
        assert await reader.readline() == b"HTTP/1.1 503 Service Unavailable\r\n"
        assert refused[0].content.total_bytes == BODY
        assert not refused[0].cut_for


async def test_who_waits_for_a_turn_holds_nothing() -> None:
    line = Line()
    unwanted = UnwantedBodies(take_turn=line.take_turn)
    async with refusing(unwanted, line) as (port, refused), contextlib.AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(sending(port))
        await line.reached(5)
        for one in refused:
            assert one.transport is not None
            assert not one.transport.is_reading()
            assert not one.content.read_nowait()
            assert 0 < one.content.total_bytes < BODY


async def test_where_more_wait_than_may_the_one_that_began_first_is_ended() -> None:
    line = Line()
    unwanted = UnwantedBodies(2, take_turn=line.take_turn)
    async with refusing(unwanted, line) as (port, refused), contextlib.AsyncExitStack() as stack:
        readers = []
        for _ in range(3):
            readers.append(await stack.enter_async_context(sending(port)))
            await line.reached(1)
        with contextlib.suppress(ConnectionError):
            assert await readers[0].read() == b""
        assert [one.cut_for for one in refused] == ["body", "", ""]


async def test_a_body_that_does_not_end_in_time_is_the_end_of_its_connection() -> None:
    async with refusing(UnwantedBodies(seconds=0.05)) as (port, refused), sending(port, BODY - 1) as reader:
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        assert refused[0].cut_for == "body"


async def test_one_that_has_gone_stands_in_no_line() -> None:
    loop = asyncio.get_running_loop()
    content = StreamReader(BaseProtocol(loop), BODY, loop=loop)
    content.feed_data(b"what came before it went")
    async with asyncio.timeout(5):
        await UnwantedBodies(take_turn=Line().take_turn).throw_away(Gone(), content)


class Gone:
    transport = None

    def cut(self, reason: str) -> None:
        raise AssertionError(reason)
