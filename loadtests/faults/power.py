"""A power loss without cutting the power: what a process wrote below a folder and did not sync is forgotten after its SIGKILL.

The kernel keeps what a killed process wrote; a machine that loses its power does not. So the processes that write below
DIR (started with `launch --power DIR`) note, beside it in DIR.power, what is durable and how to undo what is not; after
they were killed – all of them, as with a machine – `forget(DIR)` rewrites the files to what had been synced.

DIR.power/size/<inode>   how much of a file was durable at its last sync (8 bytes); no such file: nothing
DIR.power/undo/<inode>   what was overwritten or cut off since then, oldest first (SQLite's files; truncations)
DIR.power/names.log      names that came, went or changed, and the syncs of folders, one line each
DIR.power/kept/          removed files, until the removal is durable itself
"""

# The system's calls and its audit events speak of paths as text.
# ruff: noqa: PTH110, PTH116

import os
import random
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loadtests.faults.names import Names, unsynced

SECTOR = 512
_RECORD = struct.Struct("<QQQ")  # where it was written, the file's size before, how many old bytes follow
_SIZE = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a power loss cost: bytes that were not synced (whole sectors), files they lay in, names that were undone."""

    bytes: int
    files: int
    names: int


def state_of(root: Path) -> Path:
    """Where the notes about a folder lie: beside it, so that they are on the same disk."""
    root = Path(os.path.realpath(root))
    return root.with_name(root.name + ".power")


def prepare(root: Path) -> None:
    """What is below `root` now is durable. Makes the folder. Where notes exist already they go on being kept."""
    root.mkdir(parents=True, exist_ok=True)
    state = state_of(root)
    draft = state.with_name(f"{state.name}.{os.getpid()}")
    for name in ("size", "undo", "kept"):
        (draft / name).mkdir(parents=True)
    for path in _files(root):
        found = path.stat()
        (draft / "size" / key_of(found)).write_bytes(_SIZE.pack(found.st_size))
    try:
        draft.rename(state)  # whole or not at all: several processes may begin at once
    except OSError:
        shutil.rmtree(draft)


def forget(root: Path, *, seed: int | None = None, ordered: bool = False) -> Forgotten:
    """The power came back: below `root` is only what was durable. Call it when every process that writes there is dead.

    With a `seed` some of what was not synced survives, as on real disks: of each file a random choice of 512-byte sectors,
    of the names a first part. `ordered`: any sync makes all earlier names last (ext4, XFS); else only the sync of their
    own folder does, which is all that POSIX promises. Raises `FileNotFoundError` where nothing was noted.
    """
    root = Path(os.path.realpath(root))
    state = state_of(root)
    if not state.is_dir():
        raise FileNotFoundError(f"nothing was noted about {root}: start its writers with launch --power {root}")
    chance = None if seed is None else random.Random(seed)
    lost = [_settle(state, path, chance) for path in sorted([*_files(root), *_files(state / "kept")])]
    entries = unsynced(state / "names.log", ordered=ordered)
    stay = chance.randint(0, len(entries)) if chance is not None else 0
    for entry in reversed(entries[stay:]):
        entry.undo(state / "kept")
    shutil.rmtree(state)
    prepare(root)
    return Forgotten(sum(lost), sum(one > 0 for one in lost), len(entries) - stay)


class Notes:
    """What a process that writes below `root` notes there. Every method is called before the thing itself, but for `synced`."""

    def __init__(self, root: Path) -> None:
        prepare(root)
        self.root = os.path.realpath(root)
        self._state = state_of(root)
        self._names = Names(self._state, forgotten=self._drop)

    def covers(self, path: str) -> bool:
        """Whether an absolute path lies below the folder."""
        return path.startswith(self.root + os.sep)

    def overwriting(self, descriptor: int, offset: int, length: int) -> None:
        """These bytes of an open file are about to be written over, or cut off."""
        found = os.fstat(descriptor)
        length = max(0, min(length, found.st_size - offset))
        old = os.pread(descriptor, length, offset)
        undo = os.open(self._state / "undo" / key_of(found), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(undo, _RECORD.pack(offset, found.st_size, len(old)) + old)
        finally:
            os.close(undo)

    def truncating(self, path: str, size: int) -> None:
        """A file is about to be cut to this size."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            self.overwriting(descriptor, size, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)

    def synced(self, found: os.stat_result, path: str) -> None:
        """A file's content is durable."""
        size = os.open(self._state / "size" / key_of(found), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(size, _SIZE.pack(found.st_size), 0)
        finally:
            os.close(size)
        (self._state / "undo" / key_of(found)).unlink(missing_ok=True)
        self._names.synced(path, is_folder=False)

    def folder_synced(self, folder: str) -> None:
        """The names in a folder are durable."""
        self._names.synced(folder, is_folder=True)

    def all_synced(self) -> None:
        """os.sync: everything is."""
        for path in _files(Path(self.root)):
            self.synced(path.stat(), str(path))
        self._names.all_synced()

    def creating(self, path: str, *, is_folder: bool = False) -> None:
        """A name that is not there is about to come."""
        self._names.note("mkdir" if is_folder else "create", path)

    def removing(self, path: str) -> None:
        """A file is about to lose its name."""
        self._names.note("unlink", path, kept=self._keep(path))

    def removing_folder(self, path: str) -> None:
        """An empty folder is about to go."""
        self._names.note("rmdir", path)

    def renaming(self, source: str, target: str) -> None:
        """A file is about to change its name, perhaps in another's place."""
        self._names.note("rename", target, source=source, kept=self._keep(target) if os.path.exists(target) else "")

    def _keep(self, path: str) -> str:
        """Hold on to a file that is about to go, so that its number is not given to another one either."""
        found = os.stat(path)
        name = f"{os.getpid()}-{self._names.next_number()}"
        kept = self._state / "kept" / name
        try:
            os.link(path, kept)
        except OSError:  # another disk, or one without links: a copy of what is durable of it
            shutil.copyfile(path, kept)
            copied, synced = kept.stat(), durable_image(self._state, Path(path))
            kept.write_bytes(synced)
            (self._state / "size" / key_of(copied)).write_bytes(_SIZE.pack(len(synced)))
            self._drop_notes(key_of(found))
        return name

    def _drop(self, name: str) -> None:
        kept = self._state / "kept" / name
        found = kept.stat()
        if found.st_nlink == 1:
            self._drop_notes(key_of(found))
        kept.unlink()

    def _drop_notes(self, key: str) -> None:
        for folder in ("size", "undo"):
            (self._state / folder / key).unlink(missing_ok=True)


def key_of(found: os.stat_result) -> str:
    """A file by its number, which it keeps when its name changes."""
    return f"{found.st_dev}-{found.st_ino}"


def durable_image(state: Path, path: Path) -> bytes:
    """A file's content as it was synced last."""
    key = key_of(path.stat())
    image = bytearray(path.read_bytes())
    for offset, size, old in reversed(list(_undo(state / "undo" / key))):
        image.extend(bytes(max(0, offset + len(old) - len(image))))
        image[offset : offset + len(old)] = old
        del image[size:]
    noted = state / "size" / key
    size = _SIZE.unpack(noted.read_bytes())[0] if noted.exists() else 0
    return bytes(image[:size])


def _undo(path: Path) -> Iterator[tuple[int, int, bytes]]:
    text = path.read_bytes() if path.exists() else b""
    at = 0
    while at + _RECORD.size <= len(text):
        offset, size, length = _RECORD.unpack_from(text, at)
        at += _RECORD.size + length
        if at <= len(text):  # else it was killed while it noted this, and had not written yet
            yield offset, size, text[at - length : at]


def _settle(state: Path, path: Path, chance: random.Random | None) -> int:
    """Rewrite one file; how many bytes it lost."""
    now, synced = path.read_bytes(), durable_image(state, path)
    if now == synced:
        return 0
    image = synced if chance is None else _torn(now, synced, chance)
    path.write_bytes(image)
    length = max(len(now), len(image))
    return sum(now[at : at + SECTOR] != image[at : at + SECTOR] for at in range(0, length, SECTOR)) * SECTOR


def _torn(now: bytes, synced: bytes, chance: random.Random) -> bytes:
    """Sector by sector the one or the other, with odds of this file's own; of what was appended a first part."""
    odds = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    low, high = sorted((len(now), len(synced)))
    length = chance.choice((low, high, chance.randint(low, high) // SECTOR * SECTOR, chance.randint(low, high)))
    image = bytearray()
    for at in range(0, max(length, low), SECTOR):
        first, second = (now, synced) if chance.random() < odds else (synced, now)
        sector = first[at : at + SECTOR] or second[at : at + SECTOR]
        image += sector + second[at + len(sector) : at + SECTOR]
    return bytes(image[: max(length, low)])


def _files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
