"""What is left of a body that was refused: read and thrown away, so that its client comes to read the answer.

Some write all before they read. Hundreds of such bodies may come at once, and nobody accounts for them: so a connection that
waits for its turn reads nothing meanwhile, and what its client sends stays in the kernel and, once that is full, with the
client. Whoever has gone is not noticed before its turn, and therefore only so many wait: where there are more, the one that
began first is ended.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import StreamReader, web

from ingest_server.turns import unwanted_turn

_MOST_CONNECTIONS = 256
_BYTES = 32 * 2**20


class Connection(Protocol):
    """Whose body it is. No transport: it has gone."""

    transport: asyncio.Transport | None

    def cut(self, reason: str) -> None:
        """End it."""


class UnwantedBodies:
    """All of one server. A body has so many seconds and 32 MiB to end, or its connection is cut."""

    def __init__(
        self,
        most: int = _MOST_CONNECTIONS,
        *,
        seconds: float = 10.0,
        take_turn: Callable[[], Awaitable[None]] = unwanted_turn,
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._take_turn = take_turn
        self._reading: dict[Connection, asyncio.Timeout] = {}

    async def throw_away(self, connection: Connection, content: StreamReader) -> None:
        """Return when the body has ended, or its connection has."""
        if content.is_eof() or content.exception() is not None:
            return
        if len(self._reading) >= self._most:
            self._end_the_first()
        try:
            async with asyncio.timeout(self._seconds) as deadline:
                self._reading[connection] = deadline
                if await self._read(connection, content):
                    return
        except TimeoutError:
            pass
        except (web.RequestPayloadError, ConnectionError, RuntimeError):  # RuntimeError: it has gone, says aiohttp
            return
        finally:
            self._reading.pop(connection, None)
        connection.cut("body")

    async def _read(self, connection: Connection, content: StreamReader) -> bool:
        """Whether it has ended by itself."""
        left = _BYTES
        while not content.is_eof() and left > 0:
            left -= len(await content.readany())
            transport = connection.transport
            if transport is None:
                return True
            transport.pause_reading()
            await self._take_turn()
            transport.resume_reading()
        return left > 0

    def _end_the_first(self) -> None:
        first = next(iter(self._reading))
        deadline = self._reading.pop(first)
        deadline.reschedule(asyncio.get_running_loop().time())
