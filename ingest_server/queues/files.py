"""A server's journal files: its own, to which it writes, and those that it adopted, which it only empties."""

import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ingest_server.model import Batch, BatchHead
from ingest_server.queues.connection import is_damage
from ingest_server.queues.file import JournalFile, LeftAlone
from ingest_server.queues.folder import Adopted, JournalFolder
from ingest_server.telemetry import Telemetry

GROUP_BYTES = 16 * 2**20
_PROBE_BYTES = 64 * 2**10
# What an outage has left free in the file goes back to the disk piece by piece, when there is nothing else to do.
_KEEP_FREE_BYTES = 64 * 2**20
_SHRINK_BYTES = 8 * 2**20


class Unreadable(Exception):
    """A batch cannot be read back now. `is_lost`: its row is not what was written, and nobody can read it ever."""

    def __init__(self, reason: str, *, is_lost: bool) -> None:
        self.reason = reason
        self.is_lost = is_lost
        super().__init__(reason)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a batch lies."""

    file: JournalFile
    number: int


Placed = tuple[Place, BatchHead]


class JournalFiles:
    """Used by one thread. `commit` and `look` raise `sqlite3.Error` or `OSError` where the disk fails; nothing is half done."""

    def __init__(self, folder: JournalFolder, telemetry: Telemetry, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._telemetry = telemetry
        self._clock = clock
        self._own: JournalFile | None = None
        self._others: list[JournalFile] = []
        self._settled: dict[JournalFile, list[tuple[int, bool]]] = {}

    @property
    def has_settled(self) -> bool:
        """Whether settled batches are still to be taken out of a file."""
        return bool(self._settled)

    def settle(self, place: Place, *, is_lost: bool = False) -> None:
        """The batch is nobody's business any more: to be written with a later `commit` or `flush`."""
        self._settled.setdefault(place.file, []).append((place.number, is_lost))

    def commit(self, batches: Sequence[Batch] = ()) -> list[Place]:
        """Write the batches, and what has settled in the own file, with one fsync: all of it, or nothing."""
        own = self._renewed()
        settled = self._settled.get(own, [])
        places: list[Place] = []

        def write() -> None:
            places.extend(Place(own, number) for number in own.put(batches))
            _write_settled(own, settled)

        if batches or settled:
            try:
                seconds = self._in_one_transaction(own, write)
            except sqlite3.Error as error:
                self._give_up_own_where_damaged(error)
                raise
            self._settled.pop(own, None)
            own.waiting += len(places) - len(settled)
            self._telemetry.journal_committed(len(places), seconds)
        return places

    def probe(self) -> None:
        """Find out whether the disk takes something: raises what `commit` would."""
        own = self._renewed()
        for size in (_PROBE_BYTES, 0):
            try:
                self._in_one_transaction(own, partial(own.probe, size))
            except sqlite3.Error as error:
                self._give_up_own_where_damaged(error)
                raise

    def start_anew(self) -> None:
        """Remove the own file where nothing waits in it: a new one is made when it is needed.

        On a disk that it filled itself not even a deletion can be written, and nothing else would ever make room.
        """
        own = self._own
        if own is not None and self._is_over(own):
            self._own = None
            self._let_go(own)

    def flush(self) -> bool:
        """Take what has settled out of the adopted files, and remove those that are empty. False where a disk did not let it."""
        is_done = True
        for file in [one for one in self._others if one in self._settled]:
            if self._is_over(file):
                self._others.remove(file)
                self._let_go(file)
                continue
            settled = self._settled[file]
            try:
                self._in_one_transaction(file, partial(_write_settled, file, settled))
            except sqlite3.Error as error:
                self._folder.leave_alone(file.path, f"what was settled stays in it for now: {error}")
                if not is_damage(error):
                    is_done = False
                    continue
                file.is_broken = True  # a row that stays in it is a redelivery at the next start, and absorbed
            del self._settled[file]
            file.waiting -= len(settled)
            if not file.waiting:
                self._others.remove(file)
                self._retire(file)
        return is_done

    def shrink(self) -> bool:
        """Give some room back to the disk if much is free. Whether more is left to do."""
        return self._own is not None and self._own.shrink(_KEEP_FREE_BYTES, _SHRINK_BYTES)

    def read(self, place: Place, head: BatchHead) -> bytes:
        """A batch's body. Raises `Unreadable`."""
        try:
            body = place.file.body(place.number)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise Unreadable(str(error), is_lost=False) from None
            body, reason = None, str(error)
        else:
            reason = "its body is not what was written"
        if body is None or not head.fits(body):
            self.settle(place, is_lost=True)
            self._telemetry.journal_lost(head, place.file.path, reason)
            raise Unreadable(reason, is_lost=True)
        return body

    def look(self, *, may_write: bool) -> Iterator[list[Placed]]:
        """What waits in files whose owner is gone: they are adopted; damaged ones are salvaged into the own file."""
        for found in self._folder.look():
            if isinstance(found, Path):
                if may_write:
                    yield from self._salvage(found)
            elif found.heads:
                self._others.append(found.file)
                yield _placed(found)
            else:
                self._retire(found.file)

    def close(self) -> None:
        """Close every file; those in which nothing waits are removed."""
        for file in [*self._others, *([self._own] if self._own is not None else [])]:
            if file.waiting or file in self._settled:
                file.close()
            else:
                self._retire(file)

    def _is_over(self, file: JournalFile) -> bool:
        """Whether nothing waits in it but for the writing of it, and nothing is to be kept for whoever looks into it."""
        settled = self._settled.get(file, [])
        return len(settled) == file.waiting and not any(is_lost for _, is_lost in settled)

    def _let_go(self, file: JournalFile) -> None:
        self._settled.pop(file, None)
        file.waiting = 0
        self._retire(file)

    def _renewed(self) -> JournalFile:
        if self._own is None:
            self._own = self._folder.create()
        return self._own

    def _give_up_own_where_damaged(self, error: sqlite3.Error) -> None:
        """The next try is made on a new file; this one is emptied as far as it can be read."""
        if self._own is not None and is_damage(error):
            self._others.append(self._own)
            self._own = None

    def _in_one_transaction(self, file: JournalFile, write: Callable[[], None]) -> float:
        """Seconds that the commit took, its fsync included."""
        file.begin()
        try:
            write()
            began = self._clock()
            file.commit()
        except BaseException:
            file.rollback()
            raise
        return self._clock() - began

    def _salvage(self, path: Path) -> Iterator[list[Placed]]:
        salvage = self._folder.salvage(path)
        with closing(salvage.batches()) as batches:
            try:
                while group := _take(batches):
                    places = self.commit(group)
                    yield [(place, batch.head) for batch, place in zip(group, places, strict=True)]
            except LeftAlone as left:
                self._folder.leave_alone(path, left.reason)
                return
        self._folder.put_away(path, salvage)

    def _retire(self, file: JournalFile) -> None:
        try:
            self._folder.retire(file)
        except (sqlite3.Error, OSError) as error:
            self._folder.leave_alone(file.path, f"it could not be removed: {error}")


def _placed(adopted: Adopted) -> list[Placed]:
    return [(Place(adopted.file, number), head) for number, head in adopted.heads]


def _write_settled(file: JournalFile, settled: Sequence[tuple[int, bool]]) -> None:
    file.forget([number for number, is_lost in settled if not is_lost])
    for number, is_lost in settled:
        if is_lost:
            file.lose(number)


def _take(batches: Generator[Batch, None, None]) -> list[Batch]:
    """As many as one transaction may hold; none where there are no more."""
    taken: list[Batch] = []
    size = 0
    for batch in batches:
        taken.append(batch)
        size += batch.size
        if size >= GROUP_BYTES:
            break
    return taken
