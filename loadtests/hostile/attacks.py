"""Every attack: what one connection of it does, again and again until the time is over."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from loadtests.hostile import bodies
from loadtests.hostile.wire import Wire, post

TABLE = "hostile"
TYPED = "hostile_numbers"
_MIB = 2**20
_ANSWER_SECONDS = 30
_GZIP, _ZSTD, _JSON = "Content-Encoding: gzip", "Content-Encoding: zstd", "Content-Type: application/json"

Once = Callable[[Wire], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attack:
    """`connections` do `once` at the same time, each again when it is over."""

    name: str
    text: str
    connections: int
    once: Once
    prepare: Callable[[], object] = bool
    """Makes what is sent, before the clock runs."""


def _whole(body: Callable[[], bytes], *headers: str, table: str = TABLE) -> Once:
    async def once(wire: Wire) -> None:
        sent = body()
        await wire.send(post(table, f"Content-Length: {len(sent)}", *headers) + sent)
        await wire.answer(_ANSWER_SECONDS)

    return once


async def _slow_body(wire: Wire) -> None:
    """50 MB at a megabyte a second."""
    await wire.send(post(TABLE, "Content-Length: 50000000"))
    answer = asyncio.ensure_future(wire.answer(120))
    try:
        for _ in range(1000):
            await wire.send(b'{"a":"' + b"x" * 49_990 + b'"}\n\n')
            await asyncio.wait([answer], timeout=0.05)
            if answer.done():
                break
        await answer
    finally:
        answer.cancel()


async def _slow_head(wire: Wire) -> None:
    for sign in b"GET /livez HTTP/1.1\r\nX-Slow: " + b"a" * 1000:
        await wire.send(bytes([sign]))
        if wire.reader.at_eof() or await _came(wire, 0.5):
            return


async def _came(wire: Wire, seconds: float) -> bool:
    """Whether an answer, or the end, came meanwhile."""
    if not wire.reader._buffer:  # type: ignore[attr-defined]  # noqa: SLF001  to wait and not to read
        try:
            async with asyncio.timeout(seconds):
                await wire.reader._wait_for_data("came")  # type: ignore[attr-defined]  # noqa: SLF001
        except TimeoutError:
            return False
    await wire.answer(1)
    return True


async def _endless_head(wire: Wire) -> None:
    await wire.send(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    for number in range(10_000):
        await wire.send(f"X-{number}: ".encode() + b"a" * 8000 + b"\r\n")
        if await _came(wire, 0.001):
            return


async def _idle(wire: Wire) -> None:
    await wire.send(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await wire.answer(_ANSWER_SECONDS)
    await wire.answer(_ANSWER_SECONDS)


async def _endless_body(wire: Wire) -> None:
    await wire.send(post(TABLE, "Transfer-Encoding: chunked"))
    piece = b"10000\r\n" + b'{"a":1}\n' * 8192 + b"\r\n"
    answer = asyncio.ensure_future(wire.answer(120))
    try:
        while not answer.done():
            await wire.send(piece)
            await asyncio.sleep(0)
        await wire.send(piece * 100)  # it does not listen
        await answer
    finally:
        answer.cancel()


async def _at_once(wire: Wire) -> None:
    body = b'{"a":1}\n' * 10
    await wire.send(post(TABLE, f"Content-Length: {len(body)}") + body)
    await wire.answer(_ANSWER_SECONDS)
    await asyncio.sleep(0.5)


async def _pipelined(wire: Wire) -> None:
    body = b'{"a":1}\n' * 10_000
    one = post(TABLE, f"Content-Length: {len(body)}", "Prefer: wait=5") + body
    sending = asyncio.ensure_future(wire.send(one * 32))
    try:
        for _ in range(32):
            if await wire.answer(_ANSWER_SECONDS) is None:
                return
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _unread(wire: Wire) -> None:
    """Asks for the contract without end and reads no answer."""
    async with asyncio.timeout(_ANSWER_SECONDS):
        while True:
            await wire.send(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 100)


ATTACKS = (
    Attack("slow bodies", "50 MB each, a megabyte a second", 200, _slow_body),
    Attack("endless bodies", "chunked, and goes on after the answer", 50, _endless_body),
    Attack("gzip bomb", "256 KiB that become 256 MiB", 50, _whole(bodies.gzip_bomb, _GZIP), bodies.gzip_bomb),
    Attack(
        "zstd bomb", "8 KiB that become 256 MiB, window 8 MiB", 50, _whole(bodies.zstd_bomb, _ZSTD), bodies.zstd_bomb
    ),
    Attack("many members", "8 MiB of empty gzip members", 50, _whole(bodies.many_members, _GZIP), bodies.many_members),
    Attack("open arrays", "items of 100,000 [", 20, _whole(bodies.open_arrays), bodies.open_arrays),
    Attack("open arrays as JSON", "the same as a JSON body", 20, _whole(bodies.open_arrays, _JSON), bodies.open_arrays),
    Attack(
        "deep JSON",
        "items 50,000 deep, and 400,000 wide, for jsonb",
        20,
        _whole(bodies.deep_items, _GZIP),
        bodies.deep_items,
    ),
    Attack("one line", "64 MiB without a line end", 20, _whole(bodies.one_line, _GZIP), bodies.one_line),
    Attack("large items", "nine items of 7 MiB", 20, _whole(bodies.large_items, _GZIP), bodies.large_items),
    Attack("blank lines", "67 million of them", 20, _whole(bodies.blank_lines, _GZIP), bodies.blank_lines),
    Attack("tiny lines", "22 million items of {}", 20, _whole(bodies.tiny_lines, _GZIP), bodies.tiny_lines),
    Attack(
        "numbers",
        "an item of ten million numbers",
        20,
        _whole(bodies.ten_million_numbers, _GZIP),
        bodies.ten_million_numbers,
    ),
    Attack(
        "wrong values",
        "four items of 490,000 texts for a column of numbers",
        20,
        _whole(bodies.as_many_values_as_may_be, _GZIP, table=TYPED),
        bodies.as_many_values_as_may_be,
    ),
    Attack("JSON array", "10,000 items, 60 MiB", 20, _whole(bodies.json_array, _GZIP, _JSON), bodies.json_array),
    Attack(
        "JSON escapes",
        "eight items of nothing but escapes, 56 MiB",
        20,
        _whole(bodies.json_of_escapes, _GZIP, _JSON),
        bodies.json_of_escapes,
    ),
    Attack("slow heads", "a byte every half second", 500, _slow_head),
    Attack("endless heads", "headers without end", 200, _endless_head),
    Attack("idle", "one request, then nothing", 500, _idle),
    Attack("a thousand at once", "1,000 connections, a small batch each", 1000, _at_once),
    Attack("pipelined", "32 batches of 80 KB at once, each waited for", 200, _pipelined),
    Attack("unread", "asks without end and reads nothing", 100, _unread),
)
