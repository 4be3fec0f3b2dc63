"""Small disks and full ones.

`small_disk` is a file system of its own where this account may mount one (root on Linux). `limit_files`, and `launch
--file-limit`, need no privileges: no file of a process may grow past a size, which is a full disk (EFBIG instead of ENOSPC)
to spool and journal. It is none to PostgreSQL 18: extending a table then fails with XX000, not with 53100 as on a full disk.
"""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from loadtests.faults.needs import NotPossible

_BALLAST = "ballast"
_SMALL = 2**30


@contextlib.contextmanager
def small_disk(size: int) -> Iterator[Path]:
    """An empty folder on a file system of `size` bytes, which every account may enter; unmounted at the end.

    Raises `NotPossible`. A mount in a namespace of its own (`unshare --mount`) would be seen by one process tree only, and
    not by the laboratory: that is no way here.
    """
    if not sys.platform.startswith("linux"):
        raise NotPossible("a small disk is a tmpfs, which is Linux's")
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        raise NotPossible("only root may mount a small disk; limit_files is for everybody")
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    try:
        said = subprocess.run(
            [mount, "-t", "tmpfs", "-o", f"size={size},mode=0777", "small-disk", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if said.returncode != 0:
            raise NotPossible(f"mount refused: {said.stderr.strip()}")
        try:
            yield folder
        finally:
            _unmount(folder)
    finally:
        folder.rmdir()


def _unmount(folder: Path) -> None:
    # Lazily where somebody still has a file open: the name is free at once, the memory when he is done.
    for words in (["umount"], ["umount", "--lazy"]):
        if subprocess.run([*words, str(folder)], capture_output=True, check=False).returncode == 0:
            return
    raise OSError(f"{folder} could not be unmounted: umount it by hand")


def fill(folder: Path, *, leave: int = 0) -> int:
    """Fill a small disk with a ballast file, but for so many bytes. Returns what the ballast takes.

    Raises `ValueError` for a disk of more than 1 GiB: that is no small one, and others live on it.
    """
    found = os.statvfs(folder)
    if found.f_blocks * found.f_frsize > _SMALL:
        raise ValueError(f"{folder} is on a disk of {found.f_blocks * found.f_frsize} bytes: that is no small disk")
    ballast = folder / _BALLAST
    before = ballast.stat().st_size if ballast.exists() else 0
    size = max(0, found.f_bavail * found.f_frsize - leave)
    with ballast.open("ab") as file:
        if size:
            os.posix_fallocate(file.fileno(), before, size)
    return before + size


def free(folder: Path) -> None:
    """Take the ballast away again; nothing where there is none."""
    (folder / _BALLAST).unlink(missing_ok=True)


def limit_files(pid: int, size: int | None) -> None:
    """No file of this process, and of those it starts from now on, may grow past `size` bytes; None lifts it again.

    Writing there fails with EFBIG where SIGXFSZ is ignored, as in Python and PostgreSQL. Files that are longer already
    may be read, and rewritten below the size. Raises `ProcessLookupError`, and `NotPossible` for another account's process.
    """
    if not hasattr(resource, "prlimit"):
        raise NotPossible(
            "limits of another process can be changed on Linux only; launch --file-limit works everywhere"
        )
    try:
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    except PermissionError as error:
        raise NotPossible(f"the limits of process {pid} are another account's") from error
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))
