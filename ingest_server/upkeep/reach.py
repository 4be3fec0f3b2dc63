"""PostgreSQL's own programs over the server's database: the wheel's for the embedded one, else those on the PATH."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from ingest_server.errors import StartRefused
from ingest_server.postgres.embedded.account import owner_of
from ingest_server.postgres.embedded.embedded import EmbeddedPostgres, existing_postgres, not_here
from ingest_server.postgres.embedded.running import running_dsn
from ingest_server.settings import Settings


@dataclass(frozen=True, slots=True)
class Reach:
    """A database that answers, and the programs for it. The connection string holds no password; `environment` may."""

    dsn: str
    programs: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    def program(self, name: str) -> str:
        """Where the program lies. Raises `StartRefused` where it is not installed."""
        found = shutil.which(name) if self.programs is None else str(self.programs / name)
        if found is None:
            raise StartRefused(f"there is no {name} on the PATH", remedy="install PostgreSQL's client")
        return found

    def open(self, name: str, arguments: Sequence[str]) -> int:
        """Run the program in the terminal over this database; its exit code."""
        return subprocess.run([self.program(name), self.dsn, *arguments], check=False, env=self.environment).returncode

    def run(self, name: str, *arguments: str) -> str:
        """Run the program and return what it writes. Raises `StartRefused` with its last word where it fails."""
        done = subprocess.run(
            [self.program(name), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**self.environment, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            raise StartRefused(f"{name} failed ({said[-500:]})", remedy="nothing was changed; mend this and try again")
        return done.stdout

    def ask(self, question: str) -> list[str]:
        """The first column of what a query gives."""
        return self.run("psql", "-XAtq", "-d", self.dsn, "-v", "ON_ERROR_STOP=1", "-c", question).splitlines()


@contextlib.contextmanager
def existing(settings: Settings) -> Iterator[Reach]:
    """The server's database. An embedded one that does not run is started for as long as the block takes.

    Raises `StartRefused` where there is none.
    """
    if settings.database is not None:
        yield _named(settings.database.get_secret_value())
        return
    with existing_postgres(settings.data_dir) as embedded:
        yield Reach(embedded.dsn, embedded.program_directory)


@contextlib.contextmanager
def existing_or_new(settings: Settings) -> Iterator[Reach]:
    """The same, but an embedded database that is not there is made."""
    if settings.database is not None:
        yield _named(settings.database.get_secret_value())
        return
    embedded = EmbeddedPostgres(settings.data_dir)
    embedded.start()
    try:
        yield Reach(embedded.dsn, embedded.program_directory)
    finally:
        embedded.stop()


def uri(settings: Settings) -> str:
    """The connection string, without a password. Starts nothing: raises `StartRefused` where the embedded one does not run."""
    if settings.database is not None:
        return _named(settings.database.get_secret_value()).dsn
    if not (settings.data_dir / "postgres").exists():
        raise not_here(settings.data_dir)
    found = running_dsn(settings.data_dir)
    data = settings.data_dir.absolute() / "postgres"
    if found is None and not os.access(data, os.R_OK | os.X_OK):
        raise StartRefused(
            f"whether the embedded PostgreSQL runs cannot be said: this user may not read {data}",
            remedy=f"ask as its owner, {owner_of(data)}",
        )
    if found is None:
        raise StartRefused(
            f"the embedded PostgreSQL in {settings.data_dir.absolute()} does not run",
            remedy="ingest-server run starts it; ingest-server database psql opens it for as long as psql runs",
        )
    return found


def _named(dsn: str) -> Reach:
    """A command line can be read by every user of the machine: the password goes into the environment beside it."""
    parts = urlsplit(dsn)
    environment = dict(os.environ)
    if parts.password is not None:
        environment["PGPASSWORD"] = unquote(parts.password)
        user, _, host = parts.netloc.rpartition("@")
        parts = parts._replace(netloc=f"{user.split(':', 1)[0]}@{host}")
    options = parts.query.split("&")
    for option in [one for one in options if one.startswith("password=")]:
        environment["PGPASSWORD"] = unquote(option.partition("=")[2])
        options.remove(option)
    return Reach(urlunsplit(parts._replace(query="&".join(options))), environment=environment)
