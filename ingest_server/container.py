"""How much memory there is for this process: the machine's, or the smallest limit of the control groups that it lives in."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil


@dataclass(frozen=True, slots=True)
class _Mount:
    """Where one hierarchy of control groups is seen, and which of its groups is seen at that place."""

    place: Path
    root: PurePosixPath


def memory_there_is(root: Path = Path("/"), *, total: int | None = None) -> int:
    """Bytes. Both versions of control groups, nested ones too: the smallest limit on the way up counts.

    `root` is where /proc and the control groups are looked for, `total` what the machine has.
    """
    found = [int(psutil.virtual_memory().total) if total is None else total]
    memberships = _lines(root / "proc/self/cgroup")
    for line in memberships:
        parts = line.split(":", 2)
        if len(parts) < 3:
            continue
        controllers, path = parts[1].split(","), PurePosixPath(parts[2])
        if controllers == [""]:
            found += _limits(root, "cgroup2", "", path, ("memory.max", "memory.high"))
        elif "memory" in controllers:
            found += _limits(root, "cgroup", "memory", path, ("memory.limit_in_bytes",))
    return min(found)


def _limits(root: Path, kind: str, option: str, path: PurePosixPath, files: tuple[str, ...]) -> Iterator[int]:
    for mount in _mounts(root, kind, option):
        place = mount.place
        # A container may see its own group as the top of what is mounted, or have a path that leads outside of it.
        below = path.relative_to(mount.root) if path.is_relative_to(mount.root) else PurePosixPath()
        groups = [place] if ".." in below.parts else [place / part for part in (below, *below.parents)]
        for group in groups:
            for name in files:
                yield from (int(text) for text in _lines(group / name) if text.isdigit() and int(text) > 0)
            # version 1 says here what holds from groups above, those that cannot be seen from inside too
            for line in _lines(group / "memory.stat"):
                name, _, value = line.partition(" ")
                if name == "hierarchical_memory_limit" and value.isdigit():
                    yield int(value)


def _mounts(root: Path, kind: str, option: str) -> Iterator[_Mount]:
    """Where hierarchies of this kind are mounted: proc_pid_mountinfo(5)."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, (what, *_, options) = before.split(), after.split() or [""]
        if len(fields) > 4 and what == kind and (not option or option in options.split(",")):
            yield _Mount(root / fields[4].lstrip("/"), PurePosixPath(fields[3]))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):  # no such thing on this machine
        return []
