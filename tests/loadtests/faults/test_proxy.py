"""The proxy misbehaves exactly as told: against a real little aiohttp server, a Unix socket and the real ingest server."""

import asyncio
import io
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
from aiohttp import web

from loadtests.faults.framing import Framing
from loadtests.faults.proxy import (
    AnswerWith,
    Delay,
    HoldAnswers,
    LoseAnswers,
    Proxy,
    Reset,
    Silent,
    Through,
    TruncateRequests,
)
from tests.running import RunningServer


class Echo:
    """Answers with the body it got, and remembers all that began and all that arrived whole."""

    def __init__(self) -> None:
        self.began = 0
        self.whole: list[int] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.began += 1
        body = await request.read()
        self.whole.append(len(body))
        if request.query.get("how") == "chunks":
            response = web.StreamResponse()
            response.enable_chunked_encoding()
            await response.prepare(request)
            await response.write(body)
            await response.write_eof()
            return response
        return web.Response(body=body)


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, int]]:
    here, application = Echo(), web.Application(client_max_size=2**30)
    application.router.add_route("*", "/", here.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield here, runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture
async def proxy(echo: tuple[Echo, int]) -> AsyncIterator[Proxy]:
    one = Proxy(("127.0.0.1", echo[1]))
    yield one
    await one.stop()


@pytest.fixture
async def url(proxy: Proxy) -> str:
    return f"http://127.0.0.1:{await proxy.start()}/"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=50)) as one:
        yield one


async def post(session: aiohttp.ClientSession, url: str, body: bytes) -> bytes:
    async with session.post(url, data=io.BytesIO(body)) as response:
        assert response.status == 200
        return await response.read()


@pytest.mark.parametrize("size", [0, 1, 1000, 262_144, 3_000_001])
async def test_whatever_passes_is_unchanged_on_one_connection(proxy, url, session, size):
    body = os.urandom(size)
    for _ in range(3):
        assert await post(session, url, body) == body
    assert proxy.connections == 1


async def test_answers_in_chunks_and_answers_to_head(proxy, url, session):
    proxy.behave(LoseAnswers(every=100))
    for _ in range(2):
        assert await post(session, url + "?how=chunks", b"abc" * 100_000) == b"abc" * 100_000
        async with session.head(url) as response:
            assert response.status == 200
    assert proxy.connections == 1


async def test_a_lost_answer_was_answered(proxy, url, session, echo):
    proxy.behave(LoseAnswers(every=2))
    assert await post(session, url, b"first") == b"first"
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await post(session, url, b"second")
    async with session.get(url) as response:  # carries no body: not counted, and passes
        assert response.status == 200
    assert await post(session, url, b"third") == b"third"
    assert echo[0].whole == [5, 6, 0, 5]
    assert proxy.hits == 1


async def test_an_answer_is_lost_where_the_behaviour_came_after_the_request(proxy, url, session, echo):
    proxy.behave(Silent())
    asked = asyncio.create_task(post(session, url, b"x"))
    assert await asyncio.wait([asked], timeout=0.05) == (set(), {asked})
    proxy.behave(LoseAnswers())
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await asked
    assert echo[0].whole == [1]


async def test_half_of_a_body_arrives(proxy, url, session, echo):
    proxy.behave(TruncateRequests())
    with pytest.raises(aiohttp.ClientError):
        await post(session, url, os.urandom(1_000_000))
    proxy.behave(Through())
    assert await post(session, url, b"whole") == b"whole"
    assert (echo[0].began, echo[0].whole) == (2, [5])


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_the_proxy_answers_itself(proxy, url, session, echo, status):
    proxy.behave(AnswerWith(status, every=2))
    assert await post(session, url, b"first") == b"first"
    async with session.post(url, data=os.urandom(700_000)) as response:
        assert response.status == status
        assert response.content_type == "text/html"
        assert f"<h1>{status} " in await response.text()
    assert echo[0].began == 1
    assert proxy.hits == 1


async def test_silence_holds_what_is_under_way_until_it_ends(proxy, url, session, echo):
    assert await post(session, url, b"opens a connection") == b"opens a connection"
    proxy.behave(Silent())
    held = [asyncio.create_task(post(session, url, b"held")) for _ in range(3)]
    done, _ = await asyncio.wait(held, timeout=0.2)
    assert (done, echo[0].began, proxy.connections) == (set(), 1, 3)
    proxy.behave(Through())
    assert await asyncio.gather(*held) == [b"held"] * 3


async def test_reset_ends_open_connections_and_refuses_new_ones(proxy, url, session, echo):
    proxy.behave(Silent())
    held = asyncio.create_task(post(session, url, b"held"))
    assert await asyncio.wait([held], timeout=0.05) == (set(), {held})
    proxy.behave(Reset())
    with pytest.raises(aiohttp.ClientOSError, match="reset"):
        await held
    with pytest.raises(aiohttp.ClientOSError, match="reset"):
        await post(session, url, b"new")
    proxy.behave(Through())
    assert await post(session, url, b"again") == b"again"
    assert echo[0].whole == [5]


async def test_delay_counts_both_ways_and_ends_with_the_behaviour(proxy, url, session):
    proxy.behave(Delay(0.1))
    began = time.monotonic()
    await post(session, url, b"x")
    assert time.monotonic() - began >= 0.2
    proxy.behave(Delay(3600))
    waiting = asyncio.create_task(post(session, url, b"x"))
    assert await asyncio.wait([waiting], timeout=0.1) == (set(), {waiting})
    proxy.behave(Through())
    assert await waiting == b"x"


async def test_a_target_that_is_away_is_a_refused_connection_until_it_is_aimed_anew(
    proxy, url, session, echo, free_port
):
    proxy.target = ("127.0.0.1", free_port)
    with pytest.raises(aiohttp.ClientOSError):
        await post(session, url, b"x")
    proxy.target = ("127.0.0.1", echo[1])
    assert await post(session, url, b"x") == b"x"


async def test_it_keeps_up(proxy, url, session):
    body = os.urandom(16_000_000)
    began = time.monotonic()
    for _ in range(4):
        await post(session, url, body)
    assert 4 * 32_000_000 / (time.monotonic() - began) > 20_000_000  # there and back


@pytest.fixture
def unix_socket(postgres) -> tuple[str, Path]:
    """A user of the embedded PostgreSQL, and the path of its socket."""
    user, _, rest = postgres.dsn.removeprefix("postgresql://").partition("@")
    folder = Path(rest.partition("host=")[2].partition("&")[0].replace("%2F", "/"))
    return user, next(folder.glob(".s.PGSQL.*[0-9]"))


async def test_postgresql_through_it_by_its_unix_socket(unix_socket):
    user, path = unix_socket
    async with Proxy(path) as port:
        one = await asyncpg.connect(f"postgresql://{user}@127.0.0.1:{port}/postgres")
        assert await one.fetchval("SELECT repeat('x', 1000000)") == "x" * 1_000_000
        await one.close()


async def test_a_batch_whose_answer_was_lost_is_stored_once(server: RunningServer, sql, session):
    name, proxy = str(uuid4()), Proxy(("127.0.0.1", server.port))
    async with proxy as port:
        where = f"http://127.0.0.1:{port}/v1/tables/things/batches"
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": name, "Prefer": "wait=10"}
        proxy.behave(LoseAnswers(every=1))
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.post(where, data=b'{"a": 1}\n', headers=headers)
        proxy.behave(Through())
        async with session.post(where, data=b'{"a": 1}\n', headers=headers) as response:
            assert (response.status, response.headers["Idempotency-Replayed"]) == (200, "true")
    assert await sql.fetchval("SELECT count(*) FROM things") == 1


def test_framing_does_not_mind_where_the_bytes_are_cut():
    text = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello" + b"GET / HTTP/1.1\r\n\r\n"
    for size in range(1, len(text)):
        framing = Framing(answers=False)
        pieces = [piece for at in range(0, len(text), size) for piece in framing.feed(text[at : at + size])]
        assert b"".join(piece.data for piece in pieces) == text
        assert [piece.length for piece in pieces if piece.starts] == [5, 0]
        assert sum(piece.ends for piece in pieces) == 2


async def test_held_answers_come_when_it_passes_again_and_the_request_was_carried_out(echo, proxy):
    here, _ = echo
    port = await proxy.start()
    async with aiohttp.ClientSession() as http:
        proxy.behave(HoldAnswers(b"HTTP/1.1 2"))
        asking = asyncio.create_task(_asked(http, port, b"x" * 10))
        async with asyncio.timeout(5):
            while not proxy.hits:
                async with http.get(f"http://127.0.0.1:{port}/") as answer:  # it has no body: not held
                    assert answer.status == 200
        assert 10 in here.whole
        assert not asking.done()
        proxy.behave(Through())
        assert await asking == b"x" * 10


async def _asked(http: aiohttp.ClientSession, port: int, body: bytes) -> bytes:
    async with http.post(f"http://127.0.0.1:{port}/", data=body) as answer:
        return await answer.read()


async def test_a_commit_is_done_and_its_answer_held(database):
    parts = urlsplit(database)
    proxy = Proxy(Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432")
    port = await proxy.start()
    one = await asyncpg.connect(f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}")
    await one.execute("CREATE TABLE held (n int)")
    proxy.behave(HoldAnswers(b"COMMIT\0"))
    await one.execute("BEGIN; INSERT INTO held VALUES (1)")
    committing = asyncio.create_task(one.execute("COMMIT"))
    other = await asyncpg.connect(database)
    async with asyncio.timeout(5):
        while not await other.fetchval("SELECT count(*) FROM held"):
            pass
    await other.close()
    assert proxy.hits == 1
    assert not committing.done()
    proxy.behave(Through())
    assert await committing == "COMMIT"
    await one.close()
    await proxy.stop()
