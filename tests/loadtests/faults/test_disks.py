"""A small disk is small and is gone afterwards; a limit on files stops what grows past it, and can be lifted."""

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.faults.disks import fill, free, limit_files, small_disk
from loadtests.faults.needs import NotPossible


def mounts() -> str:
    return Path("/proc/mounts").read_text() if Path("/proc/mounts").exists() else ""


@pytest.fixture
def disk() -> Iterator[Path | None]:
    """A small disk, None where there can be none: that is then what the test sees."""
    before = mounts()
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(small_disk(4 * 2**20))
        except NotPossible:
            made = None
        yield made
    assert mounts() == before


def test_a_small_disk_fills_and_is_gone_afterwards(disk):
    if disk is None:
        with pytest.raises(NotPossible), small_disk(2**20):
            return
        return
    assert str(disk) in mounts()
    assert fill(disk, leave=64 * 2**10) >= 3 * 2**20
    (disk / "fits").write_bytes(b"x" * 32 * 2**10)
    with pytest.raises(OSError, match="No space left"):
        (disk / "does not").write_bytes(b"x" * 128 * 2**10)
    free(disk)
    (disk / "does now").write_bytes(b"x" * 128 * 2**10)


def test_a_small_disk_goes_although_a_file_on_it_is_open():
    before = mounts()
    with contextlib.ExitStack() as later, contextlib.suppress(NotPossible), small_disk(2**20) as disk:
        later.enter_context((disk / "open").open("wb"))
    assert mounts() == before


def test_without_privileges_a_small_disk_is_not_possible(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotPossible, match="only root"), small_disk(2**20):
        pass


def test_a_disk_that_is_not_small_is_not_filled(tmp_path):
    with pytest.raises(ValueError, match="no small disk"):
        fill(tmp_path)


_WRITES = """
import sys
for line in sys.stdin:
    try:
        with open(sys.argv[1], "ab") as file:
            file.write(b"x" * int(line))
        print("written", flush=True)
    except OSError as error:
        print(error.errno, flush=True)
"""


def test_a_limit_is_set_and_lifted_while_the_process_runs(tmp_path):
    words = [sys.executable, "-c", _WRITES, str(tmp_path / "file")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:

        def write(size: int) -> str:
            process.stdin.write(f"{size}\n")
            return process.stdout.readline().strip()

        assert write(1000) == "written"
        limit_files(process.pid, 1500)
        assert write(1000) == str(errno.EFBIG)
        limit_files(process.pid, None)
        assert write(1000) == "written"
        process.stdin.close()
    assert (tmp_path / "file").stat().st_size == 2500  # the half that still fitted stays, as on a full disk
