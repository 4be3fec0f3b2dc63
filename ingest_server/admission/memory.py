"""Resident memory, its two limits, and what the allocator can give back."""

import ctypes
import math
from collections.abc import Callable

import psutil

_LOOK_SECONDS = 0.25


class Memory:
    """Resident memory of this process, looked at four times a second at most; everything in bytes.

    Above `limit` nothing is let in while something waits; above `hard_limit` less is worked on at the same time, too.
    """

    def __init__(self, clock: Callable[[], float], limit: int, hard_limit: int | None = None) -> None:
        self.limit = limit
        self.hard_limit = limit * 3 // 2 if hard_limit is None else hard_limit
        self._clock = clock
        self._process = psutil.Process()
        self._seen = -math.inf
        self._resident = 0

    @property
    def resident(self) -> int:
        """Bytes."""
        if self._clock() - self._seen >= _LOOK_SECONDS:
            self._resident = self._process.memory_info().rss
            self._seen = self._clock()
        return self._resident


def give_back() -> None:
    """Give freed memory back to the system where the C library keeps it (glibc). For a thread: it may take a moment."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def keep_little() -> None:
    """Let glibc give every large block back once it is freed, and share its heaps between threads.

    By itself it keeps blocks of up to 32 MiB after the first that was freed, and a heap for each thread: resident memory
    would stay at its peak.
    """
    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option is not None:
        option(_MMAP_THRESHOLD, _LARGE_BLOCK)
        option(_TRIM_THRESHOLD, _KEPT)
        option(_ARENA_MAX, _ARENAS)


# https://man7.org/linux/man-pages/man3/mallopt.3.html
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGE_BLOCK, _KEPT, _ARENAS = 4 * 2**20, 16 * 2**20, 2
