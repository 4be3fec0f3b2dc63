"""Files that are whole or not there, and names that every file system takes."""

import errno
import hashlib
import os
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

APPENDING = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
"""How a file is opened whose lines go in by one `os.write` each."""

_MOST_NAME = 150
_TRIES = 3


def table_folder(table: str) -> str:
    """A table's name as one that every file system takes; long ones are cut and told apart by a hash."""
    name = quote(table, safe="")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > _MOST_NAME:
        return f"{name[:_MOST_NAME]}-{hashlib.sha256(table.encode()).hexdigest()[:16]}"
    return name


def write_whole(path: Path, content: bytes) -> None:
    """The whole content under its name, fsynced, or nothing: a crash leaves a `.tmp` that nobody reads. Raises OSError."""
    draft = path.with_name(path.name + ".tmp")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    draft.replace(path)


def fsync_file(path: Path) -> None:
    """Makes the file's content last. Raises OSError."""
    # Opened for writing: Windows flushes nothing else.
    opened = os.open(path, os.O_RDWR)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def fsync_folder(folder: Path) -> None:
    """Makes new names last as well; where directories cannot be opened (Windows) the system does it. Raises OSError."""
    if os.name != "posix":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


class FreshNames:
    """Folders with names that a power loss would take: each is flushed once for as long as it stays as it is."""

    def __init__(self, *folders: Path) -> None:
        self._folders = set(folders)
        self._flushing = threading.Lock()

    def add(self, folder: Path) -> None:
        """A name came in it, or changed. At once, whatever is flushed in another thread."""
        self._folders.add(folder)

    def flush(self) -> None:
        """What came before this call lasts when it returns. Raises OSError."""
        with self._flushing:
            for folder in tuple(self._folders):
                # Before: a name that comes meanwhile makes it fresh again.
                self._folders.discard(folder)
                try:
                    fsync_folder(folder)
                except OSError:
                    self._folders.add(folder)
                    raise


def identity(path: Path) -> tuple[int, int] | None:
    """Which file it is, whatever its name; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def append(opened: int, line: bytes, end: int) -> None:
    """One `os.write` at the end of a file that is `end` bytes long: whole, or cut off again. Raises OSError."""
    try:
        written = os.write(opened, line)
        if written != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        cut_off(opened, end)
        raise


def cut_off(opened: int, end: int) -> None:
    """What was written of a line that did not fit goes again, if the disk lets it. Below 0 nothing is open."""
    if opened >= 0:
        with suppress(OSError):
            os.ftruncate(opened, end)


def make_private(folder: Path) -> list[Path]:
    """Makes a directory for this user only; those above it are made as usual. Gives what was missing. Raises OSError."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return missing


def make_lasting(folder: Path) -> None:
    """The same, through a power loss. Raises OSError."""
    for one in make_private(folder):
        # What lies above is not ours: it may not be for us to open.
        with suppress(OSError):
            fsync_folder(one.parent)


def probe(folder: Path) -> None:
    """Writes a file there and leaves no trace: what had to be made is removed again. Raises OSError."""
    for tries in range(1, _TRIES + 1):
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        draft = folder / f"probe-{uuid4()}.tmp"
        try:
            make_private(folder)
            draft.write_bytes(b"\n")
        except FileNotFoundError:
            # Another crawl that probed removed what it had made. A directory that cannot be made says so each time.
            if tries == _TRIES:
                raise
        else:
            return
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            for one in missing:
                with suppress(OSError):
                    one.rmdir()
