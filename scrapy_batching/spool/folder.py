"""The spool on disk, format 1: one folder for each crawl's run. No asyncio, no Scrapy; everything here blocks, shortly.

<run>/about.json                        whose run it is; a folder without it is nobody's
<run>/lock                              held by the crawl, or by whoever sends what it left
<run>/tally.ndjson                      a line for each closed batch and each counted fact
<run>/close.json                        what the crawl said at its end, where something is left
<run>/<table folder>/table.json         which table it is
<run>/<table folder>/<id>.ndjson        a batch, open or closed
<run>/<table folder>/<id>.split.ndjson  a batch that may only be sent as its halves
"""

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from filelock import FileLock, Timeout

from scrapy_batching.names import uuid7
from scrapy_batching.spool.disk import (
    FreshNames,
    fsync_file,
    fsync_folder,
    identity,
    make_lasting,
    table_folder,
    write_whole,
)
from scrapy_batching.spool.layout import (
    ABOUT,
    CLOSE,
    FORMAT,
    LOCK,
    SPLIT,
    TABLE,
    TALLY,
    WHOLE,
    About,
    Left,
    is_bare,
    is_draft,
    read_left,
)
from scrapy_batching.spool.refusals import Refusal, keep_refused, keep_torn
from scrapy_batching.spool.tally import Shortened, Tally
from scrapy_batching.wire.answers import Problem

_NEW_NAMES = 5


class RunFolder:
    """One crawl's run below the spool directory `path.parent`. Methods raise OSError where the disk does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Not bound to a thread: what a crawl opened may be released at exit, from another one.
        self._lock = FileLock(path / LOCK, thread_local=False)
        self._tally = Tally(path / TALLY)
        self._tables: dict[str, Path] = {}
        # Folders with names that a power loss would take; of a run that somebody else made that is not known.
        self._fresh = FreshNames(path, path.parent)

    @classmethod
    def create(
        cls,
        spool: Path,
        *,
        crawl: str,
        spider: str,
        name: Callable[[], UUID] = uuid7,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> "RunFolder":
        """A new run's folder (0700), claimed. Raises OSError."""
        for _ in range(_NEW_NAMES):
            made = cls(spool / str(name()))
            make_lasting(spool)
            made.path.mkdir(mode=0o700)
            # Before about.json: until that is there nobody else takes the folder for a crawl's.
            if made._locked():
                about = About(
                    format=FORMAT,
                    crawl=crawl,
                    spider=spider,
                    started_at=now().isoformat(),
                    pid=os.getpid(),
                    host=socket.gethostname(),
                )
                write_whole(made.path / ABOUT, orjson.dumps(asdict(about), option=orjson.OPT_INDENT_2))
                return made
        raise OSError(f"no new folder of a run could be kept below {spool}")

    @property
    def about(self) -> About | None:
        """Whose it is; None if it is of another format, or nobody's."""
        try:
            found = orjson.loads((self.path / ABOUT).read_bytes())
            if found["format"] != FORMAT:
                return None
            return About(**{name: found[name] for name in About.__slots__})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def claim(self) -> bool:
        """Whether the lock is ours now. False: a crawl or another sender has it, or the folder is gone. Never waits."""
        before = identity(self.path / LOCK)
        if self.about is None or not self._locked():
            return False
        # Whoever had it before us may have removed the folder: then the lock is that of a file without a name.
        if not (self.path / ABOUT).exists() or before not in (None, identity(self.path / LOCK)):
            self.release()
            return False
        return True

    def release(self) -> None:
        """Lets go of the lock, to be claimed again, and of what is open."""
        self._tally.close()
        self._lock.release(force=True)

    def batch_path(self, table: str, id: UUID) -> Path:  # noqa: A002
        """Where the file of a batch belongs; its table's folder is made."""
        if table in self._tables:
            return self._tables[table] / f"{id}{WHOLE}"
        folder = self.path / table_folder(table)
        if not (folder / TABLE).exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            write_whole(folder / TABLE, orjson.dumps({"table": table}))
            self._fresh.add(self.path)
        self._tables[table] = folder
        return folder / f"{id}{WHOLE}"

    def forget_tables(self) -> None:
        """The folders of tables are looked for again."""
        self._tables.clear()

    def mark_split(self, path: Path) -> Path:
        """The batch may only be sent as its halves from now on, after a power loss too. Gives its new path."""
        if path.name.endswith(SPLIT):
            return path
        split = path.with_name(path.name.removesuffix(WHOLE) + SPLIT)
        fsync_file(path)
        path.rename(split)
        try:
            self.flush_names({path.parent})
        except OSError:
            split.rename(path)
            raise
        return split

    def flush(self, files: Iterable[Path]) -> None:
        """Files of batches survive a power loss, under their names."""
        files = set(files)
        for file in files:
            fsync_file(file)
        self.flush_names({file.parent for file in files})

    def flush_names(self, tables: Iterable[Path] = ()) -> None:
        """The names in these tables' folders survive a power loss, and those of the folders down to them."""
        for folder in tables:
            fsync_folder(folder)
        self._fresh.flush()

    def done(self, path: Path) -> None:
        """The batch needs no file any more."""
        path.unlink(missing_ok=True)

    def refuse(
        self,
        body: bytes,
        *,
        id: UUID,  # noqa: A002
        table: str,
        crawl: str,
        items: int,
        url: str,
        reason: str,
        problem: Problem | None,
    ) -> Path:
        """Puts a batch, or a half of one, into `refused/`; gives its path there. Its file is the caller's. Raises SpoolFailed."""
        refusal = Refusal(id=id, table=table, crawl=crawl, items=items, url=url, reason=reason, problem=problem)
        return keep_refused(self.path.parent, refusal, body)

    def add_tally(self, fact: Mapping[str, Any], *, lasting: bool = False) -> None:
        """Appends one line, whole or not there; `lasting`: through a power loss too, when this returns."""
        self._tally.add(fact)
        if lasting:
            self._tally.fsync()
            self._fresh.add(self.path)
            self.flush_names()

    def tally(self) -> list[dict[str, Any]]:
        """Every whole line; a torn one is left out."""
        return self._tally.lines()

    @property
    def has_long_tally(self) -> bool:
        """Whether `shorten` is worth while."""
        return self._tally.is_long

    def shorten(self, in_memory: Iterable[UUID]) -> Shortened:
        """A shorter tally: its `write` may take a while, then it is for `shortened`. `in_memory` are batches without a file.

        Looked at now and not in `write`, or a rename meanwhile could hide a file that is there.
        """
        there = {file.name.partition(".")[0] for folder in self._folders() for file in folder.iterdir()}
        return self._tally.shortened(frozenset(there.union(map(str, in_memory))))

    def shortened(self, shorter: Shortened) -> None:
        """Puts the shorter tally in the place of the one that is there."""
        self._tally.replace(shorter)

    def write_close(self, totals: Mapping[str, Any]) -> None:
        """What the crawl says at its end."""
        write_whole(self.path / CLOSE, orjson.dumps(dict(totals), option=orjson.OPT_INDENT_2))
        fsync_folder(self.path)

    def read_close(self) -> dict[str, Any] | None:
        """What the crawl said at its end; None if it was killed."""
        try:
            found = orjson.loads((self.path / CLOSE).read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def left(self) -> tuple[Left, ...]:
        """The files of batches, oldest first; what is not ours is passed over."""
        return tuple(sorted(self._left(), key=lambda one: one.id))

    def foreign(self) -> tuple[Path, ...]:
        """What lies in it and is not ours: left alone, and the folder stays."""
        tables = tuple(self._folders())
        own = {ABOUT, LOCK, TALLY, CLOSE}
        unknown = [one for one in self._entries() if one.name not in own and one not in tables]
        outer = [one for one in unknown if not is_draft(one) and not is_bare(one)]
        inner = [
            one
            for folder in tables
            for one in folder.iterdir()
            if one.name != TABLE and not is_draft(one) and read_left(one) is None
        ]
        return (*outer, *inner)

    def mend(self, left: Left) -> Path | None:
        """Cuts a torn last line off and gives where it lies now; None if the file ends as it should.

        Raises SpoolFailed if it cannot be kept. To be called under the lock only.
        """
        content = left.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole == len(content):
            return None
        torn = keep_torn(self.path.parent, left.table, left.id, content[whole:])
        os.truncate(left.path, whole)
        fsync_file(left.path)
        return torn

    @property
    def is_empty(self) -> bool:
        """Whether no batch is left in it."""
        return next(self._left(), None) is None

    def remove(self) -> bool:
        """Removes the folder of a run without batches, and lets go of the lock. False if something foreign keeps it.

        To be called under the lock only. Raises OSError if a batch is left.
        """
        if not self.is_empty:
            raise OSError(f"{self.path} still holds batches")
        for folder in (*self._folders(), *filter(is_bare, self._entries())):
            for file in tuple(folder.iterdir()):
                if file.name == TABLE or is_draft(file):
                    file.unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()
        for file in tuple(self._entries()):
            if is_draft(file):
                file.unlink(missing_ok=True)
        # Without about.json it is nobody's folder: whoever gets the lock after this lets go of it again.
        for name in (CLOSE, TALLY, ABOUT):
            (self.path / name).unlink(missing_ok=True)
        if os.name == "posix":
            (self.path / LOCK).unlink(missing_ok=True)
            self.release()
        else:
            self.release()
            (self.path / LOCK).unlink(missing_ok=True)
        try:
            self.path.rmdir()
        except OSError:
            return not self.path.exists()
        return True

    def _locked(self) -> bool:
        try:
            self._lock.acquire(blocking=False)
        except (Timeout, OSError):
            return False
        if not self.path.exists():
            self._lock.release(force=True)
            return False
        return True

    def _left(self) -> Iterator[Left]:
        found = (read_left(file) for folder in self._folders() for file in folder.iterdir())
        return (one for one in found if one is not None)

    def _entries(self) -> Iterator[Path]:
        with suppress(FileNotFoundError):
            yield from self.path.iterdir()

    def _folders(self) -> Iterator[Path]:
        for one in self._entries():
            if (one / TABLE).is_file():
                yield one
