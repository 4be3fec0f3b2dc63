"""BATCHING_START_CHECK: a few questions before the first request, and what is done about the answers."""

import asyncio
import contextlib
import logging
import ssl
import time
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from scrapy_batching.errors import StartCheckFailed
from scrapy_batching.start_check import StartCheck, is_crawl
from scrapy_batching.telemetry.start import StartTelemetry
from scrapy_batching.wire.way import Way
from tests.scrapy_batching.asked_server import AskedServer, Says
from tests.scrapy_batching.crawls import MODES, crawled, crawling
from tests.scrapy_batching.fake_server import serving
from tests.scrapy_batching.projects import project_in, scrapy


@asynccontextmanager
async def asked(**says):
    async with serving(AskedServer(Says(**says))) as server:
        yield server


def check(url, *, tables=(), maybe=None, fails=True, **way):
    seconds = way.pop("seconds", 5.0)
    way = Way(url=url, crawl="", **way)
    telemetry = StartTelemetry(spider=None)
    return StartCheck(way, tables=tables, maybe=maybe, fails=fails, telemetry=telemetry, seconds=seconds)


async def failure(url, **more):
    with pytest.raises(StartCheckFailed) as caught:
        await check(url, **more)()
    assert str(caught.value).startswith(f"the ingestion server at {url} is not ready for this crawl: ")
    return "; ".join(caught.value.findings)


def ours(caplog):
    return [one for one in caplog.records if one.name.startswith("scrapy_batching")]


async def test_a_server_that_is_ready_is_asked_once_and_keeps_nothing(caplog):
    caplog.set_level(logging.INFO, "scrapy_batching")
    async with asked() as server:
        await check(server.url, tables=["books", "a.b", "books"], maybe="shop")()
        await asyncio.sleep(0)
        assert sorted((one.method, one.path) for one in server.questions) == [
            ("GET", "/openapi.json"),
            ("GET", "/readyz"),
            ("GET", "/v1/tables"),
            *(("POST", f"/v1/tables/{table}/batches") for table in ("a.b", "books", "shop")),
        ]
        assert server.sent == []
    assert [one.levelname for one in ours(caplog)] == ["INFO"]
    assert "is ready for this crawl" in caplog.text


async def test_nobody_there(free_port):
    text = await failure(f"http://127.0.0.1:{free_port}")
    assert text.count("there is no answer") == 1
    assert "start it (ingest-server run), or write its address in BATCHING_URL" in text


async def test_a_server_that_says_nothing_is_not_waited_for_and_no_connection_stays():
    still_open = 0
    all_closed = asyncio.Event()

    async def mute(reader, writer):
        nonlocal still_open
        still_open += 1
        await reader.read()
        still_open -= 1
        writer.close()
        if not still_open:
            all_closed.set()

    listening = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    began = time.monotonic()
    text = await failure(f"http://127.0.0.1:{port}", seconds=0.2, tables=[f"t{n}" for n in range(50)])
    assert "no answer within 0.2 s" in text
    assert time.monotonic() - began < 3, "one round for all, and no second one"
    await asyncio.wait_for(all_closed.wait(), 5)
    listening.close()


async def test_an_answer_without_end_is_cut():
    async def flood(reader, writer):
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"x" * 100_000)
                await writer.drain()

    listening = await asyncio.start_server(flood, "127.0.0.1", 0)
    text = await failure(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    listening.close()
    assert "no ingestion server of this contract" in text


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (("/v2/things",), "does not have /v1/batches/{}, /v1/crawls/{}/close, /v1/tables/{}/batches"),
        (("/v1/tables/{name}/batches", "/v1/batches/{batch}"), "does not have /v1/crawls/{}/close"),
        ((), "another contract"),
    ],
)
async def test_a_server_of_another_contract(paths, said):
    async with asked(paths=paths) as server:
        text = await failure(server.url, tables=["books"])
    assert "it is no ingestion server of this contract" in text
    assert said in text
    assert "BATCHING_URL" in text
    assert "table books" not in text, "what else it says is not about batches"


async def test_somebody_else_s_page():
    async def page(_request):
        return web.Response(text="<html>Welcome\nto nginx", content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    text = await failure(f"http://127.0.0.1:{runner.addresses[0][1]}")
    assert "no ingestion server of this contract" in text
    assert "<html>Welcome to nginx" in text
    await runner.cleanup()


async def test_tokens():
    async with asked(tokens={"s3cret-token": {"books"}}) as server:
        await check(server.url, token="s3cret-token", tables=["books"])()
        assert {one.token for one in server.questions} == {"s3cret-token"}
        assert "it wants a token (401 who are you: no such token): set BATCHING_TOKEN" in await failure(server.url)
        wrong = await failure(server.url, token="another-s3cret")
        assert "it does not know the token" in wrong
        assert "s3cret" not in wrong
        text = await failure(server.url, token="s3cret-token", tables=["books", "films"])
        assert "the token is not for table films (403 not yours)" in text
        assert "books" not in text


async def test_tables_that_are_not_there():
    async with asked(tables={"books"}) as server:
        await check(server.url, tables=["books"])()
        text = await failure(server.url, tables=["books", "boks"])
    assert text == "there is no table boks (404 no such table): create it there, or name another in BATCHING_TABLES"


async def test_a_server_that_takes_nothing_now_is_told_once():
    async with asked(reasons=["the journal is full"]) as server:
        text = await failure(server.url, tables=["books", "films"])
    assert text == "it takes nothing now (the journal is full): look at /readyz and the server's log"


async def test_the_spider_s_own_table_is_only_wrong_if_it_yields_dicts(caplog):
    async with asked(tables={"books"}) as server:
        await check(server.url, tables=["books"], maybe="shop")()
    assert [one.levelname for one in ours(caplog)] == ["WARNING"]
    assert "if this spider yields dicts" in caplog.text
    assert "there is no table shop" in caplog.text


async def test_a_warning_has_the_same_words(caplog, free_port):
    url = f"http://127.0.0.1:{free_port}"
    await check(url, fails=False)()
    (warning,) = ours(caplog)
    assert warning.levelname == "WARNING"
    text = await failure(url)
    assert text in warning.getMessage()


async def test_tls_has_its_own_remedy():
    async with asked() as server:
        text = await failure(server.url.replace("http:", "https:"), tls=ssl.create_default_context())
    assert "write http:// in BATCHING_URL" in text


def test_what_is_a_crawl():
    async def start(self):
        yield None

    start.__module__ = "scrapy.commands.fetch"
    assert not is_crawl(crawling=True, start=start)
    start.__module__ = "myproject.spiders.books"
    assert is_crawl(crawling=True, start=start)
    assert not is_crawl(crawling=False, start=start), "the shell runs an engine without a crawl"


@pytest.mark.parametrize("mode", MODES)
async def test_fail_ends_the_crawl_before_its_first_request(tmp_path, mode, free_port):
    url = f"http://127.0.0.1:{free_port}"
    spider = """
        class Numbers(scrapy.Spider):
            name = "numbers"
            async def start(self):
                Path("started").touch()
                yield {"n": 1}

        SPIDERS = [Numbers]
    """
    async with crawling(
        tmp_path, spider, mode=mode, BATCHING_URL=url, BATCHING_START_CHECK="fail", HOW_MANY=3
    ) as crawl:
        await crawl.end()
    assert f"the ingestion server at {url} is not ready for this crawl: there is no answer" in crawl.log
    assert "StartCheckFailed" in crawl.log
    assert "the crawl ends here (BATCHING_START_CHECK = 'fail')" in crawl.log
    assert "Scraper close failure" not in crawl.log, "whatever closes then still has its spider"
    assert not (tmp_path / "started").exists()
    assert not (tmp_path / "spool").exists()
    # Scrapy's own handler of downloads leaves its sessions open where a start fails without a reactor.
    assert "Unclosed" not in crawl.log or "reactor" in mode


@pytest.mark.parametrize("mode", MODES)
async def test_warn_lets_the_crawl_go_on(tmp_path, mode):
    async with asked(tables={"other"}) as server:
        crawl = await crawled(
            tmp_path,
            mode=mode,
            BATCHING_URL=server.url,
            BATCHING_START_CHECK="warn",
            BATCHING_TABLES={"dict": "numbers"},
        )
        assert len(server.items) == 7
    assert crawl.log.count("is not ready for this crawl: there is no table numbers") == 1
    assert crawl.log.count("the crawl goes on") == 1
    assert "status/422" not in crawl.batching(), "questions are no part of the stats"


async def test_off_asks_nothing(tmp_path):
    async with asked() as server:
        await crawled(tmp_path, BATCHING_URL=server.url)
        assert server.questions == []


@pytest.mark.parametrize("mode", [{}, {"FORCE_CRAWLER_PROCESS": "1"}, {"TWISTED_REACTOR_ENABLED": "False"}], ids=str)
@pytest.mark.parametrize(
    "command",
    [
        ["shell", "PAGE", "-c", "response.body"],
        ["fetch", "PAGE"],
        ["fetch", "PAGE", "--spider", "numbers"],
        ["parse", "PAGE", "--spider", "numbers", "--callback", "nothing"],
        ["parse", "PAGE", "--spider", "numbers", "--callback", "nothing", "--pipelines"],
        ["check"],
        ["list"],
    ],
    ids=" ".join,
)
async def test_commands_that_do_not_crawl_ask_nothing(tmp_path, command, mode):
    page = project_in(tmp_path)
    async with asked() as server:
        command = [page if part == "PAGE" else part for part in command]
        code, log = await scrapy(tmp_path, *command, BATCHING_URL=server.url, BATCHING_START_CHECK="fail", **mode)
        assert code == 0, log
        assert server.questions == []


@pytest.mark.parametrize("command", [["crawl", "numbers"], ["runspider", "shop/spiders/one.py"]], ids=" ".join)
async def test_both_commands_that_crawl_ask_and_end_with_exit_code_1(tmp_path, command, free_port):
    project_in(tmp_path)
    async with asked() as server:
        code, log = await scrapy(tmp_path, *command, BATCHING_URL=server.url, BATCHING_START_CHECK="fail")
        assert (code, len(server.questions)) == (0, 4), log
    code, log = await scrapy(
        tmp_path, *command, BATCHING_URL=f"http://127.0.0.1:{free_port}", BATCHING_START_CHECK="fail"
    )
    assert code == 1
    assert log.count("the crawl ends here (BATCHING_START_CHECK = 'fail')") == 1
    *_, last = log.strip().splitlines()
    assert "StartCheckFailed: the ingestion server at" in last
