"""Clients for tests, in plain http.client and raw sockets: nothing that the server is made of."""

import asyncio
import contextlib
import http.client
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.make import ndjson

SECONDS = 30


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Asker:
    """One connection a request."""

    port: int

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **more) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request(method, path, body, headers or {}, **more)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=_names(headers))

    def send(self, table: str, *items: object, body: bytes | None = None, **headers: str) -> Answer:
        """Items as NDJSON; headers as keywords: prefer="wait=5"."""
        usual = {"Content-Type": "application/x-ndjson"}
        body = ndjson(*items) if body is None else body
        return self.ask("POST", f"/v1/tables/{table}/batches", body, usual | _names(headers))

    def close_crawl(self, crawl: str, items: object, **headers: str) -> Answer:
        body = json.dumps(items if isinstance(items, dict) else {"items": items})
        usual = {"Content-Type": "application/json"}
        return self.ask("POST", f"/v1/crawls/{crawl}/close", body, usual | _names(headers))

    def settled(self, batch: str) -> dict[str, Any]:
        """The batch once it is settled."""
        view = self.get(f"/v1/batches/{batch}", prefer="wait=30").json
        assert view["status"] in ("completed", "failed"), view
        return view


def _names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-").title(): value for name, value in headers.items()}


class Wire:
    """One connection, byte by byte."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._socket.settimeout(SECONDS)
        self._reader = self._socket.makefile("rb")

    def write(self, *lines: str | bytes) -> None:
        self._socket.sendall(b"".join(line if isinstance(line, bytes) else line.encode() + b"\r\n" for line in lines))

    def begin_batch(self, table: str, length: int, *headers: str) -> None:
        """The head of a batch whose body is not sent yet."""
        self.write(
            *(f"POST /v1/tables/{table}/batches HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/x-ndjson"),
            *(f"Content-Length: {length}", *headers, ""),
        )

    def read(self) -> Answer:
        """The next answer, which may be `100 Continue`."""
        line = self._reader.readline()
        assert line, "the connection ended without an answer"
        headers = http.client.parse_headers(self._reader)
        status = int(line.split()[1])
        return Answer(status, headers, self._reader.read(int(headers.get("Content-Length", 0))))

    def ended(self) -> bool:
        """Whether the server ends the connection, with nothing more to say."""
        try:
            return self._reader.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._reader.close()
        self._socket.close()


@contextlib.contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    connection = Wire(port)
    try:
        yield connection
    finally:
        connection.close()


def until(is_so: Callable[[], object]) -> None:
    """Return when it is so: what a real server does in its own time."""
    ends = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < ends, "it never was"


@contextlib.asynccontextmanager
async def locked(sql, table: str) -> AsyncIterator[None]:
    """Nobody can write the table until the block ends."""
    transaction = sql.transaction()
    await transaction.start()
    await sql.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    try:
        yield
    finally:
        await transaction.rollback()


async def until_blocked(sql, count: int = 1) -> None:
    """Return when so many writers wait for a lock."""
    waiting = (
        "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    async with asyncio.timeout(SECONDS):
        while await sql.fetchval(waiting) < count:
            pass
