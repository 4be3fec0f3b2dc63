"""The faults themselves. None of them ends the server; each is over when its function returns, also when it is cancelled."""

import asyncio
import contextlib
import random
import signal
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import asyncpg

from loadtests.soak.plan import Fault, Kind
from loadtests.soak.results import Done
from loadtests.soak.stand import LONG, Stand

_BACKENDS = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'ingest-server' AND pid <> pg_backend_pid() ORDER BY pid"
)
_HEAD = f"POST /v1/tables/{LONG}/batches HTTP/1.1\r\nHost: {{host}}\r\nContent-Type: application/x-ndjson\r\n"
_SQL_SECONDS = 5
_RESETTING = 8
_SLOW = 4
_BYTE_SECONDS = 0.2
_LINGER_NOT = struct.pack("ii", 1, 0)  # close() resets


class Troubles:
    """Makes the faults of a plan happen, one at a time, and keeps what was done in `done`."""

    def __init__(self, stand: Stand, seed: int, began: float) -> None:
        self._stand = stand
        self._chance = random.Random(f"backends/{seed}")
        self._began = began
        self.done: list[Done] = []
        self.now = ""
        self._ways: dict[Kind, Callable[[float], Awaitable[str]]] = {
            Kind.terminate: self._terminate,
            Kind.reset: self._reset,
            Kind.slow: self._slow,
            Kind.freeze: self._freeze,
            Kind.kill: self._kill,
        }

    async def run(self, faults: tuple[Fault, ...]) -> None:
        """All of them, each at its time, or later where one before it took longer."""
        for fault in faults:
            await asyncio.sleep(max(0.0, self._began + fault.at - time.monotonic()))
            at = time.monotonic()
            self.now = f"fault: {fault.kind.value}"
            try:
                said = await self._ways[fault.kind](fault.lasts)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                said = f"did not happen: {error!r}"
            self.done.append(Done(at - self._began, fault.kind, time.monotonic() - at, said))
            self.now = ""

    async def _terminate(self, _: float) -> str:
        async with asyncio.timeout(_SQL_SECONDS):
            connection = await asyncpg.connect(self._stand.postgres.dsn())
            try:
                pids = [row["pid"] for row in await connection.fetch(_BACKENDS)]
                if not pids:
                    return "there was none"
                chosen = self._chance.choice(pids)
                await connection.execute("SELECT pg_terminate_backend($1)", chosen)
                return f"one of {len(pids)}"
            finally:
                connection.terminate()

    async def _freeze(self, seconds: float) -> str:
        postgres = self._stand.postgres
        postgres.signal_all(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            postgres.signal_all(signal.SIGCONT)
        return f"{seconds:.1f} s"

    async def _kill(self, seconds: float) -> str:
        try:
            await self._stand.postgres.kill()
            await asyncio.sleep(seconds)
        finally:
            await asyncio.shield(self._stand.postgres.start())
        return f"away for {seconds:.1f} s"

    async def _reset(self, _: float) -> str:
        clients = await self._connected(_RESETTING)
        for index, client in enumerate(clients):
            await _send(client, self._half(index))
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            client.close()
        return f"{len(clients)} connections"

    async def _slow(self, seconds: float) -> str:
        clients = await self._connected(_SLOW)
        ends = time.monotonic() + seconds
        try:
            for index, client in enumerate(clients):
                await _send(client, self._half(index))
            while time.monotonic() < ends:
                await asyncio.sleep(_BYTE_SECONDS)
                for client in clients:
                    await _send(client, b"x")
        finally:
            for client in clients:
                client.close()
        return f"{len(clients)} connections, {seconds:.1f} s"

    def _half(self, index: int) -> bytes:
        """A header without its end, or a whole one and the beginning of a body."""
        head = _HEAD.format(host=urlsplit(self._stand.url).netloc)
        return (f"{head}X-Half: " if index % 2 else f'{head}Content-Length: 100000\r\n\r\n{{"sku": "half').encode()

    async def _connected(self, count: int) -> list[socket.socket]:
        address = urlsplit(self._stand.url)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(socket.socket()) for _ in range(count)]
            for client in clients:
                client.setblocking(False)
                await asyncio.get_running_loop().sock_connect(client, (address.hostname, address.port))
            stack.pop_all()
        return clients


async def _send(client: socket.socket, what: bytes) -> None:
    with contextlib.suppress(OSError):  # the server may have had enough of it
        await asyncio.get_running_loop().sock_sendall(client, what)
