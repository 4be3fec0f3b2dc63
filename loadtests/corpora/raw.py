"""HTTP/1.1 as bytes: no library stands between, which would refuse to send what a stranger's would."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from loadtests.corpora.cases import Case

_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` 0: the connection ended without an answer; -1: there was none in time."""

    status: int
    body: Any = None


async def ask(url: str, case: Case) -> Answer:
    """Send the case over a connection of its own, and read its answer to the end."""
    parts = urlsplit(url)
    method = b"POST" if case.headers else b"GET"
    lines = [
        method + b" " + case.path + b" HTTP/1.1",
        b"Host: " + parts.netloc.encode(),
        b"Connection: close",
        b"Content-Length: %d" % len(case.body),
        *(name + b": " + value for name, value in case.headers),
    ]
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            try:
                writer.write(b"\r\n".join(lines) + b"\r\n\r\n" + case.body)
                return _read(await reader.read())
            except ConnectionError:
                return Answer(0)
            finally:
                writer.close()
    except TimeoutError:
        return Answer(-1)


def _read(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        return Answer(0)
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    return Answer(int(words[1]), found)
