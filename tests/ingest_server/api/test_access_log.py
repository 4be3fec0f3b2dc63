"""The access log: off unless asked for, and then a line a request, without secrets."""

import json
import logging
from collections.abc import Callable

import pytest
from aiohttp import ClientSession, web

from ingest_server.api.connections import ConnectionBounds
from ingest_server.api.protocol import Runner
from ingest_server.logs import Json

SECRETS = ("geheim-token", "geheim-query", "geheim-agent")


async def ask(access_log: bool, answer: Callable[[web.Request], web.Response]) -> int:
    async def respond(request: web.Request) -> web.Response:
        return answer(request)

    app = web.Application()
    app.router.add_get("/v1/{rest:.*}", respond)
    runner = Runner(app, access_log=access_log, bounds=ConnectionBounds(), cut=lambda _why, _whose: None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        headers = {
            "Authorization": "Bearer geheim-token",
            "User-Agent": "geheim-agent",
            "Referer": "http://x/geheim-query",
        }
        url = f"http://127.0.0.1:{port}/v1/t%C3%A4bles?token=geheim-query"
        async with ClientSession() as session, session.get(url, headers=headers) as response:
            await response.read()
            return response.status
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("access_log", [True, False])
async def test_a_line_a_request_where_it_is_asked_for_without_headers_and_query(
    access_log: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    assert await ask(access_log, lambda _: web.Response(status=207, text="12345")) == 207
    lines = [one for one in caplog.records if one.name == "ingest_server.access"]
    assert len(lines) == int(access_log)
    for one in lines:
        written = Json().format(one)
        fact = json.loads(written)
        assert (fact["method"], fact["path"], fact["status"]) == ("GET", "/v1/t%C3%A4bles", 207)
        assert fact["peer"] == "127.0.0.1"
        assert fact["bytes"] >= 5
        assert 0 <= fact["seconds"] < 5
        assert one.levelno == logging.INFO
        assert not [secret for secret in SECRETS if secret in written or secret in one.getMessage()]
