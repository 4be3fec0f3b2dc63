"""What the start check's questions say where there is no answer."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from scrapy_batching.wire.answers import TryAgain
from scrapy_batching.wire.questions import Questions
from scrapy_batching.wire.tls import context_of
from scrapy_batching.wire.way import Way
from tests.scrapy_batching.fake_server import FakeServer, serving
from tests.scrapy_batching.wire.certificates import Certificates


@asynccontextmanager
async def hanging_up(tls=None):
    """Reads a question and closes the connection without a word; its address."""

    async def hang_up(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=tls) as listening:
        port = listening.sockets[0].getsockname()[1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"


async def remedy(url, files, *, cert="", **more):
    """Of a question that has no answer."""
    key = str(files.key) if cert else ""
    way = Way(url=url, crawl="", tls=context_of(str(files.ca), cert, key), has_certificate=bool(cert), **more)
    async with Questions(way, seconds=5.0) as questions:
        answer = await questions.send_nothing("books")
    assert isinstance(answer, TryAgain)
    return answer.remedy


async def test_without_the_certificate_that_it_wants_the_remedy_names_the_setting(tmp_path):
    files = Certificates(tmp_path)
    async with serving(FakeServer(), tls=files.server_side(wants_certificate=True)) as server:
        assert "BATCHING_TLS_CERT" in await remedy(server.url, files)


@pytest.mark.parametrize("has_certificate", [False, True])
async def test_where_what_it_says_of_that_is_lost_the_remedy_is_the_same(tmp_path, has_certificate):
    """The connection is gone, and no word of a certificate; whoever shows one is not told to show one."""
    files = Certificates(tmp_path)
    async with hanging_up(files.server_side()) as url:
        said = await remedy(url, files, cert=str(files.cert) if has_certificate else "")
    assert ("trust this client's certificate" if has_certificate else "wants a certificate of this client") in said


async def test_without_tls_nobody_wants_one(tmp_path):
    async with hanging_up() as url:
        assert "certificate" not in await remedy(url, Certificates(tmp_path))
