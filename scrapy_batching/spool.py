"""The client's disk copy: batches that could not be delivered, as files that curl can send.

waiting/<table>/<id>.ndjson     not delivered; a later crawl, or a person, sends it under the same name
refused/<table>/<id>.ndjson     refused by the server for good
…/<id>.json                     beside each: table, crawl, url and the problem
"""

import hashlib
import os
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import orjson

from scrapy_batching.answers import Problem
from scrapy_batching.batcher import Batch
from scrapy_batching.errors import SpoolFailed

Kind = Literal["waiting", "refused"]

_MOST_NAME = 150


@dataclass(frozen=True, slots=True)
class Spooled:
    """Where a batch lies, and the command that sends it from there under its own name."""

    path: Path
    resend: str


class Spool:
    """Keeps batches below `directory`, which is made with the first of them.

    `crawl` goes with every batch, and `token_variable` names the environment variable that the command takes the token
    from (None: the server wants none). Blocking and short, so that it can be used when the loop is gone.
    """

    def __init__(self, directory: Path, *, crawl: str, token_variable: str | None = None) -> None:
        self.directory = directory
        self._crawl = crawl
        self._token_variable = token_variable

    def keep(self, batch: Batch, kind: Kind, *, url: str, problem: Problem | None, reason: str) -> Spooled:
        """The batch on disk, fsynced, before this returns. `url` is where it would have gone.

        Raises SpoolFailed. Kept twice, it is there once.
        """
        folder = self.directory / kind / table_folder(batch.table)
        about = {
            "id": str(batch.id),
            "table": batch.table,
            "crawl": self._crawl,
            "items": len(batch),
            "url": url,
            "reason": reason,
            "problem": asdict(problem) if problem else None,
        }
        path = folder / f"{batch.id}.ndjson"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # First what it is, then what is in it: a reader that finds items finds where they belong.
            _write(folder / f"{batch.id}.json", orjson.dumps(about, option=orjson.OPT_INDENT_2))
            _write(path, batch.body())
            _fsync_folder(folder)
        except OSError as error:
            raise SpoolFailed(self.directory, error.strerror or str(error)) from error
        return Spooled(path, self._command(path, batch, url))

    def _command(self, path: Path, batch: Batch, url: str) -> str:
        headers = {
            "Content-Type": "application/x-ndjson",
            "Idempotency-Key": str(batch.id),
            "Ingest-Crawl": self._crawl,
        }
        parts = ["curl", "-sS", "--data-binary", shlex.quote(f"@{path.absolute()}")]
        for name, value in headers.items():
            parts += ["-H", shlex.quote(f"{name}: {value}")]
        if self._token_variable is not None:
            parts += ["-H", f'"Authorization: Bearer ${self._token_variable}"']
        return " ".join([*parts, shlex.quote(url)])


def table_folder(table: str) -> str:
    """A table's name as one that every file system takes; long ones are cut and told apart by a hash."""
    name = quote(table, safe="")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > _MOST_NAME:
        return f"{name[:_MOST_NAME]}-{hashlib.sha256(table.encode()).hexdigest()[:16]}"
    return name


def _write(path: Path, content: bytes) -> None:
    """The whole content under its name, or nothing: a crash in the middle leaves a `.tmp` that nobody reads."""
    draft = path.with_name(path.name + ".tmp")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _fsync_folder(folder: Path) -> None:
    """Makes the new names last as well; where directories cannot be opened (Windows) the system does it."""
    if os.name != "posix":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
