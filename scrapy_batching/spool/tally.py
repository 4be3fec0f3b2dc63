"""What a run counts: one appended line a closed batch or a counted fact, and shortened where a crawl runs for weeks.

{"items": 5000}                                          items of batches whose files are gone: delivered, or in refused/
{"batch": "<uuid>", "table": "books", "items": 500}      a closed batch
{"split": "<uuid>", "of": "<uuid>"}                      a half that may only be sent as its own halves, and the batch it is of
{"rejected": 1}, {"dropped": 3}                          items without a batch
{"items": -500, "dropped": 500}                          a closed batch that was let go of: it was counted when it was closed
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from scrapy_batching.spool.disk import APPENDING, append, fsync_file, write_whole

LONG_BYTES = 1 << 20
"""A tally beyond that is worth being shortened."""


class Tally:
    """The tally of one run. One writer at a time, who holds the run's lock. Methods raise OSError where the disk does."""

    def __init__(self, path: Path, *, long: int = LONG_BYTES) -> None:
        self._path = path
        self._step = long
        self._long = long
        self._opened: int | None = None
        self._size = 0

    @property
    def is_long(self) -> bool:
        """Whether it is worth being shortened: a MiB, or twice what it was after the last time."""
        return self._size > self._long

    def add(self, fact: Mapping[str, Any]) -> None:
        """Appends one line, on disk for everybody but a power loss when this returns; a line is whole or not there."""
        if self._opened is None:
            self._opened = os.open(self._path, APPENDING, 0o600)
            self._size = os.fstat(self._opened).st_size
        line = orjson.dumps(fact) + b"\n"
        append(self._opened, line, self._size)
        self._size += len(line)

    def fsync(self) -> None:
        """What was added survives a power loss, once the file's name does."""
        if self._opened is not None:
            os.fsync(self._opened)

    def lines(self) -> list[dict[str, Any]]:
        """Every whole line; a torn one is left out."""
        try:
            return list(_objects(self._path.read_bytes()))
        except FileNotFoundError:
            return []

    def close(self) -> None:
        """Closes the file; the next line opens it again."""
        opened, self._opened = self._opened, None
        if opened is not None:
            os.close(opened)

    def shortened(self, there: frozenset[str]) -> "Shortened":
        """A shorter one in the making. `there` are the names of the batches that are on disk or in memory now."""
        self._long = self._size + self._step
        return Shortened(self._path, self._size, there)

    def replace(self, shorter: "Shortened") -> None:
        """The shorter one, with the lines that came since, in the place of this one: at once, for a SIGKILL too."""
        with self._path.open("rb") as file:
            file.seek(shorter.until)
            since = file.read()
        with shorter.draft.open("ab") as draft:
            draft.write(since)
        if b'"split"' in since:
            fsync_file(shorter.draft)
        self.close()
        shorter.draft.replace(self._path)
        self._size = shorter.size + len(since)
        self._long = max(self._step, 2 * self._size)


class Shortened:
    """The first `until` bytes of a tally, shorter and with the same sums, as a draft beside it."""

    def __init__(self, path: Path, until: int, there: frozenset[str]) -> None:
        self._path = path
        self._there = there
        self.until = until
        self.draft = path.with_name(path.name + ".short.tmp")
        self.size = 0

    def write(self) -> None:
        """Writes the draft, fsynced. Touches nothing else, and may be called in any thread."""
        with self._path.open("rb") as file:
            facts = list(_objects(file.read(self.until)))
        content = b"".join(orjson.dumps(fact) + b"\n" for fact in _summed(facts, self._there))
        write_whole(self.draft, content)
        self.size = len(content)


def _summed(facts: list[dict[str, Any]], there: frozenset[str]) -> Iterator[dict[str, Any]]:
    sums = {"items": 0, "rejected": 0, "dropped": 0}
    kept = []
    for fact in facts:
        # A split line is needed as long as the file of its whole is there.
        if fact.get("of" if "split" in fact else "batch") in there:
            kept.append(fact)
            continue
        for name in sums:
            found = fact.get(name, 0)
            sums[name] += found if isinstance(found, int) else 0
    yield from ({name: count} for name, count in sums.items() if count)
    yield from kept


def _objects(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.split(b"\n"):
        with suppress(ValueError):
            found = orjson.loads(line)
            if isinstance(found, dict):
                yield found
