"""`ingest-server psql`: a look into the database with PostgreSQL's own client, which the embedded wheel brings."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit, urlunsplit

from ingest_server.errors import StartRefused
from ingest_server.postgres.embedded import existing_postgres
from ingest_server.settings import Settings


def run_psql(settings: Settings, arguments: Sequence[str]) -> int:
    """Run psql over the server's database; returns its exit code.

    An embedded PostgreSQL that is not running is started for as long as psql runs. Raises `StartRefused`.
    """
    if settings.database is not None:
        program = shutil.which("psql")
        if program is None:
            raise StartRefused("there is no psql on the PATH", remedy="install PostgreSQL's client")
        dsn, environment = _without_password(settings.database.get_secret_value())
        return subprocess.run([program, dsn, *arguments], check=False, env=environment).returncode
    remedy = "start where the server was started, or say --data-dir or --database before psql's own arguments"
    with existing_postgres(settings.data_dir, remedy=remedy) as embedded:
        program = str(embedded.program_directory / "psql")
        return subprocess.run([program, embedded.dsn, *arguments], check=False).returncode


def _without_password(dsn: str) -> tuple[str, dict[str, str]]:
    """The connection string for a command line that every user of the machine can read, and the environment beside it."""
    parts = urlsplit(dsn)
    environment = dict(os.environ)
    if parts.password is None:
        return dsn, environment
    environment["PGPASSWORD"] = unquote(parts.password)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.split(':', 1)[0]}@{host}")), environment
