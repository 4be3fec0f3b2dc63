"""The journals' folder: several servers may share it, each with a file of its own, and adopt those whose owner is gone."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ingest_server.errors import StartRefused
from ingest_server.model import BatchHead
from ingest_server.names import uuid7
from ingest_server.queues.connection import is_damage
from ingest_server.queues.file import JournalFile, LeftAlone, parts_of, sync_folder
from ingest_server.queues.salvage import Salvage
from ingest_server.telemetry import Telemetry

_REMEDY = "choose another --journal-dir, or do without a journal (--journal off)"
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Adopted:
    """A file without an owner, and what waits in it."""

    file: JournalFile
    heads: list[tuple[int, BatchHead]]


class JournalFolder:
    """Finds, makes and removes journal files. `destination` says which database they are meant for."""

    def __init__(self, path: Path, destination: str, telemetry: Telemetry) -> None:
        self.path = path
        self._destination = destination
        self._telemetry = telemetry
        self._ours: set[Path] = set()
        self._left_alone: dict[Path, str] = {}

    def prepare(self) -> None:
        """Make the folder, for its owner's eyes only. Raises `StartRefused` where it cannot be had."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self.path.parent)
            sync_folder(self.path)
        except OSError as error:
            raise StartRefused(f"journal_dir {self.path}: {error.strerror or error}", remedy=_REMEDY) from None
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise StartRefused(f"journal_dir {self.path} cannot be written", remedy=_REMEDY)

    def create(self) -> JournalFile:
        """A new file, with a name that was never used. Raises `sqlite3.Error` or `OSError` where the disk does not take it."""
        for _ in range(_TRIES):
            path = self.path / f"journal-{uuid7()}.sqlite3"
            self._ours.add(path)
            try:
                return JournalFile.create(path, self._destination)
            except LeftAlone:
                continue
            except (sqlite3.Error, OSError):
                self._ours.discard(path)
                raise
        raise sqlite3.OperationalError("somebody takes every new file away")

    def look(self) -> Iterator[Adopted | Path]:
        """Files without an owner: adopted, or the path of one that is damaged and waits for its salvage."""
        for path in sorted(self.path.glob("journal-*.sqlite3")):
            if path in self._ours:
                continue
            found = self._found(path)
            if found is not None:
                yield found

    def _found(self, path: Path) -> Adopted | Path | None:
        # Not one step of this is a generator's: an error that is still looked at would keep a statement, and so the lock.
        try:
            return self._adopt(path)
        except LeftAlone as left:
            self.leave_alone(path, left.reason)
        except sqlite3.Error as error:
            if is_damage(error):
                return path
            self.leave_alone(path, str(error))
        return None

    def _adopt(self, path: Path) -> Adopted:
        file = JournalFile.adopt(path, self._destination)
        try:
            heads = file.heads()
        except BaseException:
            file.close()
            raise
        self._ours.add(path)
        self._left_alone.pop(path, None)
        self._telemetry.journal_adopted(path, len(heads))
        return Adopted(file, heads)

    def salvage(self, path: Path) -> Salvage:
        """What can be read of a damaged file."""
        return Salvage(path, self._destination)

    def put_away(self, path: Path, salvage: Salvage) -> None:
        """A damaged file whose good batches are safe elsewhere: it is kept, and never looked at again."""
        kept = self._rename(path)
        for head in salvage.lost:
            self._telemetry.journal_lost(head, kept, "its body is not what was written")
        self._telemetry.journal_damaged(kept, salvage.rescued, salvage.unreadable, is_exact=salvage.is_exact)

    def retire(self, file: JournalFile) -> None:
        """Remove a file in which nothing waits; one that keeps batches nobody can read stays, under another name."""
        self._ours.discard(file.path)
        lost = 0 if file.is_broken else file.lost()
        if not (lost or file.is_broken):
            file.remove()
            return
        file.close()
        self._telemetry.journal_damaged(self._rename(file.path), None, lost, is_exact=not file.is_broken)

    def _rename(self, path: Path) -> Path:
        kept = path.with_name(path.name + ".damaged")
        for part, target in zip(parts_of(path), parts_of(kept), strict=True):
            with suppress(FileNotFoundError):
                part.rename(target)
        sync_folder(self.path)
        return kept

    def leave_alone(self, path: Path, reason: str | None) -> None:
        """Say once why a file is not touched, unless its owner lives."""
        if reason is not None and self._left_alone.get(path) != reason:
            self._left_alone[path] = reason
            self._telemetry.journal_left_alone(path, reason)
