"""The embedded database to the wheel's newest PostgreSQL, by dump and restore. The old data stays where it can be found."""

import shutil
from pathlib import Path

from ingest_server.errors import StartRefused
from ingest_server.postgres.embedded.account import Account
from ingest_server.postgres.embedded.binaries import binaries_for, major_of
from ingest_server.postgres.embedded.embedded import UPGRADING, EmbeddedPostgres
from ingest_server.upkeep.dump import read_dump, write_dump
from ingest_server.upkeep.reach import Reach

_DONE = "complete"
_DUMP = "database.dump"
_OTHERS = """
SELECT 'database ' || datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1')
UNION ALL SELECT 'role ' || rolname FROM pg_roles WHERE rolname <> 'postgres' AND rolname NOT LIKE 'pg\\_%' ORDER BY 1
"""


def upgrade(directory: Path) -> tuple[int, int, Path | None]:
    """From which version to which, and where the old data is now; None where there was nothing to do.

    It may be cut off at any moment and begun again. Raises `StartRefused`: then the old data is as it was.
    """
    data, making = directory / "postgres", directory / UPGRADING
    new = major_of(binaries_for(Account.current()))
    if not data.exists() and (making / _DONE).exists():
        old = int((making / _DONE).read_text())
        return old, new, _exchange(data, making, old)
    try:
        old = int((data / "PG_VERSION").read_text())
    except OSError:
        raise StartRefused(
            f"there is no embedded PostgreSQL in {directory.absolute()}", remedy="name the place with --data-dir"
        ) from None
    if old == new:
        return old, new, None
    _clear(making)
    with_room = _size(data)
    free = shutil.disk_usage(directory).free
    if free < with_room:
        raise StartRefused(
            f"the upgrade needs up to {with_room} bytes beside the old data, and {free} are free",
            remedy="make room, or move the data directory to a larger disk",
        )
    making.mkdir(mode=0o711)
    _copy(directory, making, old)
    (making / _DONE).write_text(str(old))
    return old, new, _exchange(data, making, old)


def _copy(directory: Path, making: Path, old: int) -> None:
    dump = making / _DUMP
    source = EmbeddedPostgres(directory, major=old)
    source.start()
    try:
        # newer programs read an older server, not the other way round
        reach = Reach(source.dsn, binaries_for(Account.current()))
        if others := reach.ask(_OTHERS):
            raise StartRefused(
                f"there is more than the server's own database: {', '.join(others)}",
                remedy="move it with pg_dumpall by hand, or drop it",
            )
        if reach.ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'ingest-server'"):
            raise StartRefused("an ingest-server works with this database", remedy="stop it, then upgrade")
        write_dump(reach, dump)
    finally:
        source.stop()
    target = EmbeddedPostgres(making)
    target.start()
    try:
        read_dump(Reach(target.dsn, target.program_directory), dump)
    finally:
        target.stop()
    dump.unlink()


def _exchange(data: Path, making: Path, old: int) -> Path:
    """Between the two renames there is no database under its name, and `check_version` lets nobody make one."""
    kept = data.with_name(f"postgres.{old}")
    if data.exists():
        if kept.exists():
            raise StartRefused(f"{kept} is there already", remedy="remove it, or move it away, and try again")
        data.rename(kept)
    (making / "postgres").rename(data)
    shutil.rmtree(making)
    return kept


def _clear(making: Path) -> None:
    """Take away what an upgrade that was cut off left: its server, if that still runs, its data, wherever that lies."""
    if not making.exists():
        return
    data = making / "postgres"
    if (data / "PG_VERSION").exists():
        left = EmbeddedPostgres(making)
        left.start()
        left.stop()
    if data.is_symlink() and data.resolve().is_dir():
        shutil.rmtree(data.resolve())
    shutil.rmtree(making)


def _size(data: Path) -> int:
    return sum(path.lstat().st_size for path in data.resolve().rglob("*"))
