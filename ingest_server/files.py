"""Files that are read again when they change."""

from pathlib import Path


def state_of(path: Path) -> tuple[int, ...] | None:
    """What changes when the file, its owner or its mode does. None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns, found.st_size
