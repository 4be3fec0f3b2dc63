"""A byte for every index, in a file that is mapped into memory: what a crawl saw last survives its SIGKILL.

The kernel keeps the page, whatever happens to the process; nothing has to be written or flushed.
"""

import mmap
import re
from pathlib import Path

YIELDED = 1
TAKEN = 2
_YIELDED_OR_TAKEN = re.compile(b"[\x01\x02]+")
_TAKEN = re.compile(b"\x02+")

Ranges = list[tuple[int, int]]
"""First and last index, both included."""


class Witness:
    """Written by one crawl, read by the laboratory."""

    def __init__(self, path: Path, size: int = 0) -> None:
        """Makes the file where `size` is given, else opens it."""
        if size:
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self.bytes = mmap.mmap(file.fileno(), 0)

    def yielded(self) -> int:
        return len(self.bytes[:].translate(None, b"\x00"))

    def taken(self) -> int:
        return len(self.bytes[:].translate(None, b"\x00\x01"))

    def ranges(self, *, taken: bool) -> Ranges:
        """The indices that were taken, or all that were yielded."""
        found = (_TAKEN if taken else _YIELDED_OR_TAKEN).finditer(self.bytes[:])
        return [(one.start(), one.end() - 1) for one in found]

    def close(self) -> None:
        self.bytes.close()
