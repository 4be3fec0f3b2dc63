"""The machine: limits, memory, room on the disks, and how long a disk takes to keep its word."""

import os
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from ingest_server.container import memory_there_is
from ingest_server.doctor.finding import Finding, Findings, failure, ok, shown_bytes, warning
from ingest_server.settings import Settings

_FSYNCS = 20
SLOW_FSYNC_SECONDS = 0.02
"""Slower than a disk that turns: fifty commits a second."""
# Pools, journals, logs, the embedded PostgreSQL's files, libraries.
_OTHER_FILES = 64
_LEAST_FREE = 256 * 2**20
# What the files may have beside the journal's budget; see docs/settings-server.md.
_JOURNAL_MORE = 128 * 2**20
_FAR = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs", "lustre"}
_VOLATILE = {"tmpfs", "ramfs"}


def open_files(settings: Settings, limit: int | None = None) -> Findings:
    """The limit of open files against the connections that may be open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit
    needed = settings.max_connections + settings.workers + _OTHER_FILES
    if limit != resource.RLIM_INFINITY and limit < needed:
        fewer = max(8, settings.max_connections - (needed - limit))
        yield warning(
            "open files",
            f"{limit} may be open, and {settings.max_connections} connections need {needed}",
            f"ulimit -n {needed}, LimitNOFILE={needed} in the unit, or --max-connections {fewer}",
        )
    else:
        yield ok("open files", f"{'any number' if limit == resource.RLIM_INFINITY else limit} may be open")


def memory(settings: Settings, there_is: int | None = None) -> Findings:
    """The limits on resident memory against what the machine or the container has."""
    there_is = memory_there_is() if there_is is None else there_is
    limit, hard = settings.memory_bytes, settings.memory_hard_bytes
    said = f"the limit is {shown_bytes(limit)} of {shown_bytes(there_is)}"
    if hard >= there_is:
        yield failure(
            "memory",
            f"{said}, the hard one {shown_bytes(hard)}: the system would end the server before it is met",
            f"--memory-limit {there_is // 2}, or give the container more",
        )
    elif settings.queue_bytes > limit:
        yield warning(
            "memory",
            f"{said}, and queue_bytes alone is {shown_bytes(settings.queue_bytes)}",
            f"--queue-bytes {limit // 2}, or a larger --memory-limit",
        )
    else:
        yield ok("memory", said)


def disks(settings: Settings) -> Findings:
    """Where the journal, and the embedded database, lie: room, kind of file system, whether this user may write."""
    if settings.database is None:
        yield from _place("data directory", settings.data_dir, _LEAST_FREE * 4)
    if settings.journal:
        needed = settings.journal_bytes + settings.journal_bytes // 4 + _JOURNAL_MORE
        findings = list(_place("journal", settings.journal_path, needed))
        yield from findings
        if all(one.level != "failure" for one in findings):
            yield _fsync(nearest(settings.journal_path))
        if _is_seen(settings.journal_path) and (damaged := sorted(settings.journal_path.glob("*.damaged"))):
            yield warning(
                "journal",
                f"damaged files were set aside: {', '.join(one.name for one in damaged)}",
                "audit the crawls that ran then (ingest-server audit), then remove them",
            )
    else:
        yield warning(
            "journal",
            "off: what was accepted and is not settled is gone with the server",
            "--journal on, unless senders wait for the commit (Prefer: wait)",
        )


def _place(check: str, path: Path, needed: int) -> Findings:
    place = nearest(path)
    kind = file_system_of(place)
    free = shutil.disk_usage(place).free
    said = f"{path.absolute()} ({kind or 'unknown file system'}), {shown_bytes(free)} free"
    if not os.access(place, os.W_OK | os.X_OK):
        yield failure(check, f"{said}: this user may not write in {place}", "let the server's user own it")
    elif kind in _FAR:
        yield warning(check, f"{said}: locks over a network are not to be relied on", "a directory on a local disk")
    elif kind in _VOLATILE:
        yield warning(check, f"{said}: it is gone with the machine's power", "a directory on a disk")
    elif free < min(_LEAST_FREE, needed):
        yield failure(check, f"{said}: nearly full", "make room, or name another directory")
    elif free < needed:
        yield warning(
            check, f"{said}, and up to {shown_bytes(needed)} may be wanted", "make room, or a smaller --journal-bytes"
        )
    else:
        yield ok(check, said)


def _fsync(place: Path) -> Finding:
    seconds = fsync_seconds(place)
    said = f"an fsync takes {seconds * 1000:.2f} ms (the median of {_FSYNCS})"
    if seconds > SLOW_FSYNC_SECONDS:
        return warning("journal's fsync", said, "a faster disk for --journal-dir: every answer waits for one")
    return ok("journal's fsync", said)


def fsync_seconds(place: Path) -> float:
    """How long the disk takes to keep 4 KiB for good: the median of some tries. The file is gone afterwards."""
    taken = []
    with tempfile.TemporaryFile(dir=place) as file:
        for _ in range(_FSYNCS):
            file.write(b"\0" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def nearest(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if _is_seen(one))


def _is_seen(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError:  # the directory above may not be entered: that one is what is wrong
        return False


def file_system_of(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """What kind of file system a path is on, where the system tells."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:  # not Linux
        return None
    found = None
    for line in lines:  # what is mounted later hides what was mounted before
        _, place, kind, *_ = line.split(" ")
        if path.resolve().is_relative_to(place.encode().decode("unicode_escape")):  # a space is \040
            found = kind
    return found
