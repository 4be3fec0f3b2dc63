"""An embedded PostgreSQL that runs already, looked at without starting anything."""

import socket
from pathlib import Path
from urllib.parse import quote

# https://www.postgresql.org/docs/current/storage-file-layout.html says what stands in the file
_PID_FILE_PORT = 3
_PID_FILE_SOCKETS = 4


def dsn_in(sockets: Path) -> str:
    """The connection string of the embedded PostgreSQL that listens in this directory."""
    return f"postgresql://postgres@/postgres?host={quote(str(sockets), safe='')}"


def sockets_of(data: Path) -> Path | None:
    """Where the server over this data listens, or None where nobody answers there."""
    try:
        lines = (data / "postmaster.pid").read_text().split("\n")
    except OSError:
        return None
    if len(lines) <= _PID_FILE_SOCKETS:
        return None
    port, sockets = lines[_PID_FILE_PORT], Path(lines[_PID_FILE_SOCKETS])
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.connect(str(sockets / f".s.PGSQL.{port}"))
        except OSError:  # the number belongs to another process by now: common where a container starts again
            return None
    return sockets


def running_dsn(directory: Path) -> str | None:
    """The connection string of the embedded PostgreSQL of this data directory, or None where it does not run."""
    sockets = sockets_of(directory / "postgres")
    return dsn_in(sockets) if sockets is not None else None
