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
