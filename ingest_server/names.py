"""UUIDv7 (RFC 9562): names that sort by the time at which they were made."""

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """A fresh name: 48 bits of milliseconds since 1970, 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
