"""The port: as aiohttp's, but a TLS handshake must end in time, for until then nobody counts the connection."""

import asyncio
import os
import socket
import ssl
from typing import Any

from aiohttp import web

# Each name costs a failing accept(2) for every new connection. With 8 a probe waited 300 ms behind 390 clients that came
# again as soon as they were refused.
_NAMES = 32


class Site(web.TCPSite):
    """A host and a port, with TLS where there is a context for it. Takes `handshake_seconds` for a connection's beginning."""

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        *,
        context: ssl.SSLContext | None,
        handshake_seconds: float,
        backlog: int,
    ) -> None:
        super().__init__(runner, host, port, ssl_context=context, backlog=backlog)
        self._handshake_seconds = handshake_seconds
        self._again: list[asyncio.AbstractServer] = []

    async def start(self) -> None:
        """Listen. Raises `OSError` where that cannot be.

        libuv accepts one connection of a socket in each round of the loop: under several names it is several, or a thousand
        clients that come at once would keep a probe waiting for a thousand rounds.
        """
        await self._listen()
        server: Any = self._server
        for one in server.sockets:
            for _ in range(_NAMES - 1):
                self._again.append(await self._on(socket.socket(fileno=os.dup(one.fileno()))))

    async def stop(self) -> None:
        """Listen no more."""
        for server in self._again:
            server.close()
        await super().stop()

    async def _on(self, one: socket.socket) -> asyncio.AbstractServer:
        server = self._runner.server
        assert server is not None
        loop, backlog = asyncio.get_running_loop(), self._backlog
        if self._ssl_context is None:
            return await loop.create_server(server, sock=one, backlog=backlog)
        seconds = self._handshake_seconds
        return await loop.create_server(
            server, sock=one, backlog=backlog, ssl=self._ssl_context, ssl_handshake_timeout=seconds
        )

    async def _listen(self) -> None:
        if self._ssl_context is None:
            await super().start()
            return
        await web.BaseSite.start(self)
        server = self._runner.server
        assert server is not None
        self._server = await asyncio.get_running_loop().create_server(
            server,
            self._host,
            self._port,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=self._handshake_seconds,
        )
