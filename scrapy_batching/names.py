"""The names that are made here: of batches, of halves of batches, of crawls and of tables."""

import os
import re
import threading
import time
from collections.abc import Callable
from urllib.parse import quote
from uuid import UUID, uuid5

VISIBLE_ASCII = re.compile(r"[!-~]{1,255}")

_MOST = 255
_MOST_NAME_BYTES = 63
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".][^.]*)')
_CAMEL = re.compile(r"(?<=[^\W_])(?=[A-Z][a-z])|(?<=[a-z0-9])(?=[A-Z])")


class Uuid7:
    """Makes RFC 9562 version 7 UUIDs that sort in the order of making, within one process and one millisecond too.

    `clock` gives nanoseconds since 1970, `chance` random bytes. A clock that steps back does not break the order.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns, chance: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._chance = chance
        self._last = 0
        self._lock = threading.Lock()

    def __call__(self) -> UUID:
        """The next one."""
        # 48 bits of milliseconds and, as RFC 9562 6.2 method 3 allows, 12 bits of the fraction of a millisecond.
        stamp = self._clock() * 4096 // 1_000_000
        with self._lock:
            stamp = max(stamp, self._last + 1)
            self._last = stamp
        tail = int.from_bytes(self._chance(8), "big") & (1 << 62) - 1
        return UUID(int=(stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | tail)


uuid7 = Uuid7()


def half_name(parent: UUID, start: int, stop: int) -> UUID:
    """The name of the items `start` to `stop` (exclusive) of the batch `parent`: the same again for the same range."""
    return uuid5(parent, f"{start}-{stop}")


def crawl_name(spider: str) -> str:
    """A new crawl's id, `<spider>-<UUIDv7>`, 1 to 255 visible ASCII characters; what is not is percent-encoded."""
    tail = f"-{uuid7()}"
    head = quote(spider, safe="!$&'()*+,:;=@")
    # Not within an escape: `%C3%A4` cut to `%C` would be no name of anything.
    return re.sub(r"%[0-9A-F]?$", "", head[: _MOST - len(tail)]) + tail


def snake_case(name: str) -> str:
    """A class's name as a table's: `PropertyItem` is `property_item`, `HTTPResult` is `http_result`."""
    return _CAMEL.sub("_", name).lower()


def quote_part(name: str) -> str:
    """A table's name as one part of `schema.name`: double-quoted where it holds a dot (`"books.example"`)."""
    if "." in name or '"' in name:
        return '"' + name.replace('"', '""') + '"'
    return name


def table_named(text: str) -> str:
    """`text`, which is `name` or `schema.name`, as it is sent: the same text for the same table.

    A part that holds a dot is double-quoted; any part may be. Raises ValueError, whose text says what a name is, where
    PostgreSQL has no such name.
    """
    parts: list[str] = []
    position = 0
    while match := _PART.match(text, position):
        quoted, plain = match.groups()
        parts.append(plain if quoted is None else quoted.replace('""', '"'))
        position = match.end()
        if position == len(text):
            if len(parts) > 2:
                break
            return ".".join(quote_part(_checked(part)) for part in parts)
        if text[position] != ".":
            break
        position += 1
    raise ValueError('a table is named "name" or "schema.name", and a part that holds a dot is double-quoted')


def table_called(name: str) -> str:
    """The same for the name of one thing, a spider or a class: a dot in it is no schema's."""
    if not name:
        raise ValueError("a table's name is not empty")
    return quote_part(_checked(name))


def _checked(part: str) -> str:
    try:
        size = len(part.encode())
    except UnicodeEncodeError:
        raise ValueError("a table's name is text that UTF-8 can hold, without lone surrogates") from None
    if "\0" in part:
        raise ValueError("a table's name has no NUL character")
    if size > _MOST_NAME_BYTES:
        # PostgreSQL would cut the longer name without an error, and two tables might become one.
        raise ValueError(f"a table's name has at most {_MOST_NAME_BYTES} bytes, PostgreSQL's own limit, not {size}")
    return part
