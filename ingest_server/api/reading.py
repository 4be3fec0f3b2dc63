"""A body comes in: its pieces decoded, counted, accounted and fingerprinted as they arrive, in one place of memory."""

import asyncio
import contextlib
import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

from ingest_server.admission import Room, check_size
from ingest_server.api.protocol import body_of
from ingest_server.errors import ReceiveTimeout
from ingest_server.inflate import Inflater
from ingest_server.turns import turn

_SMALL_BYTES = 2**20
_SMALL_SENT = 2**18


@dataclass(frozen=True, slots=True)
class Arrived:
    """A whole body, decoded, and what tells it from others."""

    body: bytes = field(repr=False)
    fingerprint: bytes


@contextlib.asynccontextmanager
async def arriving_within(seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """The time that a body has. Raises `ReceiveTimeout` when it is over."""
    try:
        async with asyncio.timeout(seconds) as deadline:
            yield deadline
    except TimeoutError:
        raise ReceiveTimeout(f"the body did not arrive within {seconds:g} seconds") from None


async def read_body(
    request: web.Request, room: Room, decoder: Inflater, *, sent_bytes: int, decoded_bytes: int, seconds: float
) -> Arrived:
    """Read the body within these bounds; its bytes are taken from `room`. Raises one of `RequestRefused`."""
    whole, digest = io.BytesIO(), hashlib.sha256()
    sent = 0
    loop = asyncio.get_running_loop()
    try:
        async with arriving_within(seconds) as deadline:
            room.when_cut = lambda: deadline.reschedule(loop.time())
            async for arrived in body_of(request):
                sent += len(arrived)
                check_size(sent, sent_bytes, "bytes")
                for piece in decoder.feed(arrived):
                    decoded = whole.tell() + len(piece)
                    check_size(decoded, decoded_bytes, "decoded_bytes")
                    # a decoder remembers as much again of what it made, up to its window
                    room.take(len(piece) * (2 if decoded <= decoder.window else 1))
                    digest.update(piece)
                    whole.write(piece)
                    # a piece that grew may be followed by hundreds, and a large body comes in a thousand
                    if not piece or len(piece) > len(arrived) or decoded > _SMALL_BYTES:
                        await turn()
                if sent > _SMALL_SENT:
                    await turn()
    except ReceiveTimeout:
        room.take(0)  # one that was cut for others is told so
        raise
    finally:
        room.when_cut = _nothing
    decoder.finish()
    room.has_all()
    return Arrived(whole.getvalue(), digest.digest())


def _nothing() -> None:
    """All has arrived: nobody waits any more."""
