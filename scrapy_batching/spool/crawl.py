"""The crawl's own part of the spool: each item is on disk when `append` returns, in the file of its batch.

The run's folder is made with the first item, and goes at the end if nothing is left in it. Blocking and short, so that it
can be used when the loop is gone.
"""

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from scrapy_batching.batching.batch import Batch, Part
from scrapy_batching.batching.growing import InFile
from scrapy_batching.batching.lines import InMemory
from scrapy_batching.errors import Mistake, SpoolFailed
from scrapy_batching.spool.disk import APPENDING, cut_off, probe, write_whole
from scrapy_batching.spool.folder import RunFolder
from scrapy_batching.spool.refusals import Refusal, keep_refused
from scrapy_batching.wire.answers import Problem

MOST_OPEN = 64
"""Open files of batches; a crawl with more tables than that has its files closed and opened in turn."""
_SYNC_ALL = 64
_SUMMED = frozenset({"rejected", "dropped"})


class Observer(Protocol):
    """Who is told how the disk does."""

    def disk_failed(self, error: SpoolFailed) -> None:
        """Something could not be written."""

    def disk_works(self) -> None:
        """A whole batch was written."""


class Spool:
    """One crawl's batches below `directory`.

    `is_writing` False: items wait in memory, and only what `keep` is given is written. `in_memory` is told the bytes of
    each item that had to stay in memory.
    """

    def __init__(
        self,
        directory: Path,
        *,
        crawl: str,
        spider: str,
        observer: Observer,
        is_writing: bool = True,
        in_memory: Callable[[int], object] = lambda _size: None,
        most_open: int = MOST_OPEN,
    ) -> None:
        self.directory = directory
        self._crawl = crawl
        self._spider = spider
        self._observer = observer
        self._is_writing = is_writing
        self._in_memory = in_memory
        self._most_open = most_open
        self._run: RunFolder | None = None
        self._open: dict[_File, int] = {}
        self._uncounted: list[dict[str, Any]] = []

    @property
    def run(self) -> RunFolder | None:
        """The run's folder, None as long as there is none."""
        return self._run

    def place(self, table: str, id: UUID) -> "_File | InMemory":  # noqa: A002
        """Where the lines of a new batch lie."""
        return _File(self, table, id) if self._is_writing else InMemory()

    def spare(self, table: str, id: UUID) -> InMemory:  # noqa: ARG002, A002
        """Where lines lie that the disk did not take."""
        return _Counted(self._in_memory)

    def count(self, fact: Mapping[str, Any]) -> None:
        """Adds to the run's tally; what the disk does not take waits for the next time."""
        if not self._is_writing:
            return
        last = self._uncounted[-1] if self._uncounted else {}
        if last.keys() == fact.keys() and fact.keys() <= {"rejected", "dropped"}:
            self._uncounted[-1] = {name: last[name] + fact[name] for name in fact}
        else:
            self._uncounted.append(dict(fact))
        try:
            run = self._made()
            while self._uncounted:
                run.add_tally(self._uncounted[0])
                del self._uncounted[0]
        except OSError as error:
            self.failed(error)

    def keep(self, batch: Batch) -> Path:
        """Where the batch lies: one in memory is written first, fsynced. Raises SpoolFailed."""
        if batch.part is not None:
            return batch.part.path
        try:
            path = self._made().batch_path(batch.table, batch.id)
            write_whole(path, batch.body())
            self._made().flush_names({path.parent})
        except OSError as error:
            raise self._failure(error) from error
        return path

    def sync(self, paths: Iterable[Path]) -> None:
        """Makes files last through a power loss. Raises SpoolFailed."""
        files = set(paths)
        try:
            if len(files) > _SYNC_ALL and hasattr(os, "sync"):
                # One by one, thousands would take minutes.
                os.sync()
                return
            self._made().flush(files)
        except OSError as error:
            raise self._failure(error) from error

    def split(self, path: Path, half: UUID | None = None) -> Path:
        """The batch there, or this half of it, may only be sent as halves from now on. Gives its new path. Raises OSError."""
        run = self._made()
        path = run.mark_split(path)
        if half is not None:
            # The file's name says it of the whole only: whoever sends the rest must not send this half whole.
            run.add_tally({"split": str(half), "of": path.name.partition(".")[0]}, lasting=True)
        return path

    @property
    def has_long_tally(self) -> bool:
        """Whether the run's tally is worth being shortened."""
        return self._run is not None and self._run.has_long_tally

    def shorter_tally(self, in_memory: Iterable[UUID]) -> tuple[Callable[[], None], Callable[[], None]]:
        """Two steps: the first may take a while, in any thread, the second is for this one. Both raise OSError.

        `in_memory` are the batches that are held without a file.
        """
        run = self._made()
        shorter = run.shorten(in_memory)
        return shorter.write, lambda: run.shortened(shorter)

    def done(self, path: Path) -> None:
        """The batch needs no file any more; one that cannot be removed is sent again, and absorbed by the server."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self.failed(error)

    def refuse(self, batch: Batch, *, url: str, problem: Problem | None, reason: str) -> Path:
        """Writes a copy of the batch into `refused/`. Raises SpoolFailed."""
        refusal = Refusal(
            id=batch.id,
            table=batch.table,
            crawl=self._crawl,
            items=len(batch),
            url=url,
            reason=reason,
            problem=problem,
        )
        try:
            body = batch.body()
        except OSError as error:
            raise self._failure(error) from error
        return keep_refused(self.directory, refusal, body)

    def end(self, totals: Mapping[str, Any], *, is_told: bool) -> None:
        """Removes the run's folder, or leaves it with the crawl's totals to whoever sends what is in it.

        It stays too where the server was not told the totals: nobody else would ever tell it.
        """
        run, self._run = self._run, None
        if run is None:
            return
        for file in tuple(self._open):
            file.shut()
        try:
            if is_told and run.is_empty:
                run.remove()
            else:
                run.write_close(totals)
        except OSError as error:
            self.failed(error)
        finally:
            run.release()

    def failed(self, error: OSError) -> None:
        """Says that something could not be written."""
        self._observer.disk_failed(self._failure(error))

    def written(self) -> None:
        """Says that a whole batch was written."""
        self._observer.disk_works()

    def opened(self, file: "_File") -> int:
        """A descriptor for the file of an open batch, which is made with its first line. Raises OSError."""
        if len(self._open) >= self._most_open:
            next(iter(self._open)).shut()
        if file.path is None:
            file.path = self._made().batch_path(file.table, file.id)
        try:
            descriptor = self._open[file] = os.open(file.path, APPENDING, 0o600)
        except FileNotFoundError:
            # Somebody removed its folder: the next batch makes another.
            self._made().forget_tables()
            raise
        return descriptor

    def closed(self, file: "_File") -> None:
        """Closes the descriptor again."""
        descriptor = self._open.pop(file, None)
        if descriptor is not None:
            os.close(descriptor)

    def _made(self) -> RunFolder:
        if self._run is None:
            self._run = RunFolder.create(self.directory, crawl=self._crawl, spider=self._spider)
        return self._run

    def _failure(self, error: OSError) -> SpoolFailed:
        return SpoolFailed(self.directory, error.strerror or str(error))


class _File:
    """The lines of one open batch, in its file."""

    __slots__ = ("_is_whole", "_spool", "descriptor", "id", "path", "size", "table", "total")

    def __init__(self, spool: Spool, table: str, id: UUID) -> None:  # noqa: A002
        self._spool = spool
        self.table = table
        self.id = id
        self.path: Path | None = None
        self.descriptor = -1
        self.size = 0
        self.total = 0
        self._is_whole = True

    def append(self, line: bytes) -> None:
        """On disk when this returns, for everybody but a power loss; raises OSError with the file as it was."""
        line += b"\n"
        # Without a call of its own: this is done for every item, and costs little beside the system's call.
        try:
            if self.descriptor < 0:
                self.descriptor = self._spool.opened(self)
            written = os.write(self.descriptor, line)
            if written != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self.cut_off()
            self._is_whole = False
            self._spool.failed(error)
            raise
        self.size += written
        self.total += 1

    @property
    def file(self) -> InFile:
        """Itself: lines may be written straight into it."""
        return self

    def cut_off(self) -> None:
        """The end of the file is where the last whole line ends."""
        cut_off(self.descriptor, self.size)

    def end(self) -> Part | None:
        """Where the lines lie; a file without any goes."""
        self.shut()
        if self.path is None:
            return None
        if not self.total:
            self._spool.done(self.path)
            return None
        if self._is_whole:
            self._spool.written()
        return Part(self.path, 0, self.total)

    def lines(self) -> tuple[bytes, ...]:
        """None: they are all in the file."""
        return ()

    def shut(self) -> None:
        """Closes the file for now."""
        self.descriptor = -1
        self._spool.closed(self)


class _Counted(InMemory):
    """A place in memory that tells how much it takes."""

    def __init__(self, told: Callable[[int], object]) -> None:
        super().__init__()
        self._told = told

    def append(self, line: bytes) -> None:
        """Takes a line."""
        super().append(line)
        self._told(len(line) + 1)


def mistakes_of(directory: Path) -> list[Mistake]:
    """What is wrong with a directory where nothing can be written. Leaves no trace."""
    try:
        probe(directory)
    except OSError as error:
        reason = error.strerror or error
        remedy = f"cannot be made or written there ({reason}): write a directory that this user may write to"
        return [Mistake("BATCHING_SPOOL_DIR", str(directory), remedy)]
    return []
