"""PostgreSQL over TCP: with TLS and a certificate authority of one's own, and behind a network that falls silent."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
import trustme

from ingest_server.errors import Unavailable
from ingest_server.postgres.connections import pool
from ingest_server.postgres.connections.pool import connection
from loadtests.faults.proxy import Proxy, Silent, Through
from tests.ingest_server.postgres.lines import line_over
from tests.ingest_server.postgres.stores import store_over, until
from tests.make import batch

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


@dataclass(frozen=True, slots=True)
class Front:
    """What stands before the test's PostgreSQL, and listens on loopback."""

    port: int
    authority: Path
    database: str

    def dsn(self, host: str, **options: object) -> str:
        asked = "&".join(f"{name}={value}" for name, value in options.items())
        return f"postgresql://postgres@{host}:{self.port}/{self.database}?{asked}"


def socket_of(dsn: str) -> Path:
    return Path(parse_qs(urlsplit(dsn).query)["host"][0]) / ".s.PGSQL.5432"


async def relayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()


@pytest.fixture
async def front(database: str, sql: asyncpg.Connection, tmp_path: Path) -> AsyncIterator[Front]:
    """TLS as PostgreSQL speaks it, with a certificate for the name localhost: the wheel's PostgreSQL is built without."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    root = tmp_path / "root.crt"
    authority.cert_pem.write_to_path(root)
    tasks: set[asyncio.Task] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            assert await reader.readexactly(8) == SSL_REQUEST
            writer.write(b"S")
            await writer.start_tls(context)
            inside, outside = await asyncio.open_unix_connection(socket_of(database))
            try:
                async with asyncio.TaskGroup() as both:
                    asking = both.create_task(relayed(reader, outside))
                    await relayed(inside, writer)
                    asking.cancel()
            finally:
                outside.close()
        writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    yield Front(server.sockets[0].getsockname()[1], root, await sql.fetchval("SELECT current_database()"))
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_verify_full_with_an_authority_of_ones_own(front: Front, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY)")
    async with store_over(front.dsn("localhost", sslmode="verify-full", sslrootcert=front.authority)) as store:
        assert (await store.write(batch({"id": 1}))).inserted == 1
        async with connection(store.pool) as one:
            tls = one._transport.get_extra_info("ssl_object")
            assert tls.context.verify_mode is ssl.CERT_REQUIRED
            assert tls.context.check_hostname


async def test_another_name_and_another_authority_are_refused(front: Front, tmp_path: Path) -> None:
    """Nothing is sent there. Batches wait, for a certificate can be mended."""
    other = tmp_path / "other.crt"
    trustme.CA().cert_pem.write_to_path(other)
    for dsn, words in (
        (front.dsn("127.0.0.1", sslmode="verify-full", sslrootcert=front.authority), "IP address mismatch"),
        (front.dsn("localhost", sslmode="verify-full", sslrootcert=other), "certificate verify failed"),
    ):
        async with store_over(dsn) as store:
            with pytest.raises(Unavailable, match=words):
                await store.sink.ping()


async def test_a_network_that_falls_silent_is_given_up_in_bounded_time(
    database: str, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_SILENT_SECONDS", 0.3)
    monkeypatch.setattr(pool, "_CONNECT_SECONDS", 0.5)
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY)")
    name = await sql.fetchval("SELECT current_database()")
    proxy = Proxy(socket_of(database))
    port = await proxy.start()
    try:
        dsn = f"postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=disable"
        async with line_over(dsn, statement_seconds=0.5) as line:
            await line.put(*(batch({"id": number}) for number in range(20)))
            await line.drained()
            proxy.behave(Silent())
            began = asyncio.get_running_loop().time()
            await line.put(*(batch({"id": number}) for number in range(20, 40)))

            async def struck() -> bool:
                return line.figure("ingest_sink_errors_total") >= 4

            await until(struck)  # two workers: on the connections that were open, and on new ones
            assert asyncio.get_running_loop().time() - began < 10
            proxy.behave(Through())
            await line.drained()
    finally:
        await proxy.stop()
    assert tuple(await sql.fetchrow("SELECT count(*), count(DISTINCT id) FROM things")) == (40, 40)
    assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == 0


async def test_the_kernel_gives_up_on_a_dead_peer_too(database: str, sql: asyncpg.Connection) -> None:
    """Where a machine is gone no answer comes at all; of an idle connection nobody would learn that for hours."""
    name = await sql.fetchval("SELECT current_database()")
    proxy = Proxy(socket_of(database))
    port = await proxy.start()
    try:
        dsn = f"postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=disable"
        async with store_over(dsn) as store, connection(store.pool) as one:
            peer = one._transport.get_extra_info("socket")
            assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            for option, value in pool._KEEPALIVE.items():
                assert peer.getsockopt(socket.IPPROTO_TCP, getattr(socket, option)) == value
    finally:
        await proxy.stop()
