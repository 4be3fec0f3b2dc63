"""The directory of the embedded PostgreSQL's Unix socket, which nobody else may enter."""

import contextlib
import hashlib
import re
import stat
import tempfile
from pathlib import Path

from ingest_server.errors import EmbeddedUnavailable
from ingest_server.postgres.embedded.account import Account

_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+-]{1,80}")


def socket_directory(data: Path, account: Account) -> Path:
    """A short path (a Unix socket's is limited to 107 bytes) that nobody else can have prepared for us."""
    name = f"ingest-{account.uid}-{hashlib.sha256(str(data).encode()).hexdigest()[:12]}"
    path = Path(tempfile.gettempdir()) / name
    # PostgreSQL and connection strings read a comma as the end of a path
    if not account.reaches(path.parent) or not _PLAIN_PATH.fullmatch(str(path)):
        path = Path("/tmp") / name  # noqa: S108  ownership is checked below
    return make_sockets(path, account)


def make_sockets(path: Path, account: Account) -> Path:
    """The directory, made where it is not there. Raises `EmbeddedUnavailable` where somebody else could enter it."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
        account.give(path)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != account.uid or status.st_mode & 0o077:
        raise EmbeddedUnavailable(
            f"{path} belongs to somebody else or is open to others", remedy=f"remove {path} and start again"
        )
    return path
