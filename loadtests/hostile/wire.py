"""One hostile connection, byte by byte."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

CONNECT_SECONDS = 10


class Cut(Exception):
    """The server ended the connection without an answer."""


class Wire:
    """A connection to the server; its answers are counted by status."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: "Counter[str]") -> None:
        self.reader = reader
        self._writer = writer
        self.seen = seen

    async def send(self, data: bytes) -> None:
        """Raises `Cut` where nobody takes it any more."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise Cut from error

    async def answer(self, seconds: float) -> int | None:
        """The status of the next answer, its body read; None where none comes in time. Raises `Cut`."""
        try:
            async with asyncio.timeout(seconds):
                head = await self.reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
                )
                await self.reader.readexactly(length)
        except TimeoutError:
            self.seen["none"] += 1
            return None
        except (OSError, EOFError, asyncio.LimitOverrunError) as error:
            raise Cut from error
        status = int(head[9:12])
        self.seen[str(status)] += 1
        return status


async def attempt(port: int, seen: "Counter[str]", once: Callable[[Wire], Awaitable[None]]) -> None:
    """One connection from beginning to end; what the server cuts off is counted as `cut`, and is no error here."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except (OSError, TimeoutError):
        seen["no connection"] += 1
        return
    try:
        await once(Wire(reader, writer, seen))
    except Cut:
        seen["cut"] += 1
    finally:
        writer.transport.abort()


def post(table: str, *headers: str) -> bytes:
    """The head of a batch."""
    lines = [f"POST /v1/tables/{table}/batches HTTP/1.1", "Host: 127.0.0.1", *headers]
    if not any(line.startswith("Content-Type") for line in headers):
        lines.append("Content-Type: application/x-ndjson")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
