"""Whom the embedded PostgreSQL runs as, and which places that account can reach."""

import contextlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ingest_server.errors import EmbeddedUnavailable

_ACCOUNT = "nobody"


@dataclass(frozen=True)
class Account:
    """Whom the server runs as: ourselves, or `nobody` where we are root."""

    uid: int
    gid: int
    is_other: bool

    @classmethod
    def current(cls) -> Self:
        """Raises `EmbeddedUnavailable` where PostgreSQL could not run as anybody."""
        try:
            if os.geteuid() == 0:
                entry = pwd.getpwnam(_ACCOUNT)
                return cls(entry.pw_uid, entry.pw_gid, is_other=True)
            pwd.getpwuid(os.geteuid())
        except KeyError:
            who = f"the account {_ACCOUNT}" if os.geteuid() == 0 else f"a name for user id {os.geteuid()}"
            raise EmbeddedUnavailable(
                f"PostgreSQL needs {who}, which this system does not know",
                remedy="add it to /etc/passwd, or name a PostgreSQL of yours with --database postgresql://…",
            ) from None
        return cls(os.geteuid(), os.getegid(), is_other=False)

    def reaches(self, path: Path) -> bool:
        """Whether every directory down to `path` (itself included, as far as it exists) lets this account through."""
        if not self.is_other:
            return True
        resolved = path.resolve()
        return all(self._may_enter(place) for place in (resolved, *resolved.parents) if place.exists())

    def give(self, path: Path) -> None:
        """Make the path this account's own."""
        if self.is_other:
            os.chown(path, self.uid, self.gid)

    def _may_enter(self, place: Path) -> bool:
        status = place.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        return bool(status.st_mode & (stat.S_IXGRP if status.st_gid == self.gid else stat.S_IXOTH))


def owner_of(path: Path) -> str | None:
    """Whose the path is: the name, or the number where the system knows none. None where the path cannot be looked at."""
    try:
        number = path.stat().st_uid
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user id {number}"
    except OSError:
        return None


def make_directory(path: Path, *, reachable: bool) -> None:
    """Make the directory and the parents that it lacks; those, and no others, are opened where `reachable` asks for it."""
    missing = [place for place in (path, *path.parents) if not place.exists()]
    for place in reversed(missing):
        with contextlib.suppress(FileExistsError):
            place.mkdir()
            if reachable:
                place.chmod(0o711)
