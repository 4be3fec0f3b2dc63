"""The folders of crawls that were killed before they could say whose they are: nothing is in them, and they go."""

from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from scrapy_batching.spool.layout import LOCK, is_debris


def remove_debris(spool: Path) -> None:
    """Removes them; what somebody holds, or what holds anything, stays. Blocking. Raises OSError."""
    for folder in sorted(spool.iterdir()) if spool.is_dir() else ():
        if not is_debris(folder):
            continue
        lock = FileLock(folder / LOCK, thread_local=False)
        # A crawl that is being born holds the lock, and one that has yet to take it takes another folder instead.
        with suppress(Timeout, OSError):
            lock.acquire(blocking=False)
            try:
                if is_debris(folder):
                    for one in tuple(folder.iterdir()):
                        one.unlink()
                    folder.rmdir()
            finally:
                lock.release(force=True)
