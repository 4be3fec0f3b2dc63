"""A body on its way in, and what others may do meanwhile."""

import asyncio
import gzip

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from ingest_server.admission import Rooms
from ingest_server.api.reading import read_body
from ingest_server.inflate import inflater
from tests.rounds import Rounds

MIB = 2**20


async def test_the_loop_turns_while_members_that_hold_nothing_are_undone() -> None:
    loop = asyncio.get_running_loop()
    content = StreamReader(BaseProtocol(loop), MIB, loop=loop)
    content.feed_data(gzip.compress(b"") * 10_000)
    content.feed_eof()
    rooms = Rooms(loop.time, int, MIB, lambda others, is_cut: AssertionError(others, is_cut))
    async with Rounds() as rounds:
        arrived = await read_body(
            *(make_mocked_request("POST", "/", payload=content), rooms.enter(None), inflater("gzip")),
            sent_bytes=MIB,
            decoded_bytes=MIB,
            seconds=10,
        )
    assert arrived.body == b""
    assert rounds.count >= 19
