"""The demo's own directory: made fresh, gone at the end."""

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workplace:
    """Where everything lies that the demo writes."""

    directory: Path

    @property
    def data(self) -> Path:
        """The server's data directory."""
        return self.directory / "data"

    @property
    def spool(self) -> Path:
        """Where the crawls put what they cannot deliver."""
        return self.directory / "spool"

    def stats(self, crawl: str) -> Path:
        """Where a crawl writes what Scrapy counted."""
        return self.directory / f"{crawl}.stats.json"

    def spooled(self) -> int:
        """How many files the crawls left in the spool."""
        return sum(path.is_file() for path in self.spool.rglob("*"))

    def how_to_look(self) -> str:
        """The commands that open what the demo left."""
        return (
            f"kept in {self.directory}; to look at it, start the server again and ask its database:\n"
            f"  {sys.executable} -m ingest_server run --data-dir {self.data} --tables spiders.models\n"
            f'  psql "$(cat {self.data / "postgres.dsn"})"'
        )

    @property
    def dsn(self) -> str:
        """The embedded database, once the server runs."""
        return (self.data / "postgres.dsn").read_text().strip()


@contextlib.contextmanager
def workplace(*, keep: bool) -> Iterator[Workplace]:
    """A fresh directory; with `keep` it stays."""
    place = Workplace(Path(tempfile.mkdtemp(prefix="scrapy-batching-demo-", dir=_parent())))
    try:
        if os.geteuid() == 0:
            # The server starts its PostgreSQL as `nobody`, who has to get through to its own part.
            place.directory.chmod(0o711)
        yield place
    finally:
        _stop_leftover_postgres(place)
        if not keep:
            # Where no directory for temporary files is open to `nobody`, the database lies elsewhere and this links.
            database = (place.data / "postgres").resolve()
            if database.exists():
                shutil.rmtree(database)
            shutil.rmtree(place.directory)


def _parent() -> Path:
    """A directory for temporary files that PostgreSQL's account can reach; root's own may be closed to it."""
    usual = Path(tempfile.gettempdir())
    places = (usual, Path("/tmp"), Path("/var/tmp"))  # noqa: S108  only a parent for mkdtemp
    return next((place for place in places if place.is_dir() and _is_open(place)), usual)


def _is_open(place: Path) -> bool:
    way = place.resolve()
    return os.geteuid() != 0 or all(step.stat().st_mode & stat.S_IXOTH for step in (way, *way.parents))


def _stop_leftover_postgres(place: Workplace) -> None:
    """A server that had to be killed leaves its PostgreSQL running."""
    if not (place.data / "postgres" / "postmaster.pid").exists():
        return
    from ingest_server.postgres.embedded.embedded import EmbeddedPostgres

    postgres = EmbeddedPostgres(place.data)
    postgres.start()
    postgres.stop()
