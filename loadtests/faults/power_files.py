"""Notes what Python code does to files below a folder: opens, appends, syncs, renames, removals."""

# The system's calls and its audit events speak of paths as text.
# ruff: noqa: PTH115, PTH117, PTH118, PTH119, PTH120

import functools
import os
import stat
import sys
from collections.abc import Callable
from typing import Any

from loadtests.faults.power import Notes

_WRITES = os.O_WRONLY | os.O_RDWR


def watch_files(notes: Notes) -> None:
    """From now on, for the rest of the process. Appending and whole rewriting are understood; SQLite has its own shim."""
    seen: dict[str, Callable[..., None]] = {
        "open": functools.partial(_opening, notes),
        "os.remove": lambda path, folder: _if_covered(notes, notes.removing, path, folder),
        "os.rename": functools.partial(_renaming, notes),
        "os.mkdir": lambda path, _mode, folder: _coming(notes, path, folder),
        "os.rmdir": lambda path, folder: _if_covered(notes, notes.removing_folder, path, folder),
        "os.truncate": functools.partial(_truncating, notes),
    }

    def hook(name: str, arguments: tuple[Any, ...]) -> None:
        if (note := seen.get(name)) is not None:
            note(*arguments)

    sys.addaudithook(hook)
    for name in ("fsync", "fdatasync"):
        setattr(os, name, _syncing(notes, getattr(os, name)))
    os.sync = _syncing_all(notes, os.sync)


def path_of(descriptor: int) -> str:
    """The path of an open file."""
    return os.readlink(f"/proc/self/fd/{descriptor}")


def _path(name: Any, folder: int = -1) -> str:
    if isinstance(name, int):
        return path_of(name)
    path = os.fsdecode(name)
    if folder >= 0 and not os.path.isabs(path):
        path = os.path.join(path_of(folder), path)
    # the folder's true name, and the file's own: a link is not followed by rename and remove
    return os.path.join(os.path.realpath(os.path.dirname(path) or "."), os.path.basename(path))


def _if_covered(notes: Notes, note: Callable[[str], None], name: Any, folder: int) -> None:
    path = _path(name, folder)
    if notes.covers(path) and os.path.lexists(path):
        note(path)


def _coming(notes: Notes, name: Any, folder: int) -> None:
    path = _path(name, folder)
    if notes.covers(path) and not os.path.lexists(path):
        notes.creating(path, is_folder=True)


def _opening(notes: Notes, name: Any, _mode: str | None, flags: int) -> None:
    if isinstance(name, int) or not flags & (_WRITES | os.O_CREAT | os.O_TRUNC):
        return
    path = _path(name)
    if not notes.covers(path):
        return
    if not os.path.lexists(path):
        if flags & os.O_CREAT:
            notes.creating(path)
    elif flags & os.O_TRUNC:
        notes.truncating(path, 0)


def _renaming(notes: Notes, source: Any, target: Any, source_folder: int, target_folder: int) -> None:
    old, new = _path(source, source_folder), _path(target, target_folder)
    if (notes.covers(old) or notes.covers(new)) and os.path.lexists(old):
        notes.renaming(old, new)


def _truncating(notes: Notes, file: Any, size: int) -> None:
    path = _path(file)
    if notes.covers(path) and os.path.lexists(path):
        notes.truncating(path, size)


def _syncing(notes: Notes, sync: Callable[[Any], None]) -> Callable[[Any], None]:
    def synced(file: Any) -> None:
        sync(file)
        descriptor = file if isinstance(file, int) else file.fileno()
        path, found = path_of(descriptor), os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode) and (path == notes.root or notes.covers(path)):
            notes.folder_synced(path)
        elif stat.S_ISREG(found.st_mode) and notes.covers(path):
            notes.synced(found, path)

    return synced


def _syncing_all(notes: Notes, sync: Callable[[], None]) -> Callable[[], None]:
    def synced() -> None:
        sync()
        notes.all_synced()

    return synced
