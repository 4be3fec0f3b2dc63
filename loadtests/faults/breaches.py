"""Deliberate breaches of the promise, by name: a laboratory that does not find them finds nothing.

Each takes one safeguard of the product away, from outside. One whose name in the product is gone fails at once.
"""

import importlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingest_server.queues.journaled import JournaledQueue


class BreachFailed(Exception):
    """What should be broken is not there any more: the breach must be written anew."""


def _no_fsync() -> None:
    """The journal answers without a sync: what was answered is lost with the power. Needs `--power` to be seen."""
    opened = _of("ingest_server.queues.connection", "connect")

    def connect(path: Path, *, create: bool) -> _Unsynced:
        return _Unsynced(opened(path, create=create))

    _put("ingest_server.queues.connection", "connect", connect)


class _Unsynced:
    def __init__(self, one: Any) -> None:
        self._one = one
        self._is_off = False

    def execute(self, sql: str, arguments: Sequence[Any] = (), /) -> Iterable[Any]:
        words = sql.replace(" ", "").lower()
        if words.startswith("pragmasynchronous="):
            self._is_off, sql = True, "PRAGMA synchronous=OFF"
        elif words.startswith("insert") and not self._is_off:
            raise BreachFailed("the journal does not set PRAGMA synchronous before it writes")
        rows: Iterable[Any] = self._one.execute(sql, arguments)
        return rows

    def close(self) -> None:
        self._one.close()


def _no_ledger() -> None:
    """A batch that the ledger knows is written once more: whatever is delivered twice is stored twice."""
    ledger = "ingest_server.postgres.ledger.ledger"
    asked, entered = _of(ledger, "open_batch"), _of(ledger, "enter")

    async def open_batch(one: Any, batch: Any) -> tuple[str, bool]:
        shape, _ = await asked(one, batch)
        return shape, False

    async def enter(one: Any, batch: Any, settled: Any) -> bool:
        await entered(one, batch, settled)
        return True

    _put(ledger, "open_batch", open_batch)
    _put(ledger, "enter", enter)


def _no_drain() -> None:
    """The journal forgets a batch when a worker takes it: whatever a stop or a kill finds at a worker is lost."""
    journaled, writer = "ingest_server.queues.journaled", "ingest_server.queues.writer"
    queue_type, writer_type = _of(journaled, "JournaledQueue"), _of(writer, "JournalWriter")
    taken: Callable[[Any], AsyncIterator[Any]] = _attribute(queue_type, "__aiter__")
    forget = _attribute(writer_type, "forget")
    forgotten: dict[int, Any] = {}  # the places themselves, so that no other one gets their id

    async def take(queue: "JournaledQueue") -> AsyncIterator[Any]:
        async for batch in taken(queue):
            entry = queue._line[batch]  # noqa: SLF001
            if id(entry.place) not in forgotten:
                forgotten[id(entry.place)] = entry.place
                forget(queue._writer, entry.place)  # noqa: SLF001
            yield batch

    def ack(queue_writer: Any, place: Any) -> None:
        if forgotten.pop(id(place), None) is None:
            forget(queue_writer, place)

    queue_type.__aiter__ = take
    writer_type.forget = ack


def _no_rename() -> None:
    """The spool sends the halves of a batch without having marked it: after a kill it is sent whole, and stored again."""
    folder = _of("scrapy_batching.spool.folder", "RunFolder")
    _attribute(folder, "mark_split")
    folder.mark_split = lambda _folder, path: path


SERVER = {"fsync": _no_fsync, "ledger": _no_ledger, "drain": _no_drain}
CRAWL = {"rename": _no_rename}
BREACHES = (*SERVER, *CRAWL)


def commit_breach(name: str, part: str) -> None:
    """Take the safeguard away in this process, which runs `server` or `crawl`. Raises `BreachFailed`."""
    known = SERVER if part == "server" else CRAWL
    if name not in known:
        raise BreachFailed(f"there is no breach {name} of the {part}: choose among {', '.join(known)}")
    known[name]()


def _of(module: str, name: str) -> Any:
    try:
        return _attribute(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise BreachFailed(f"{module} is not there any more ({error})") from error


def _attribute(owner: Any, name: str) -> Any:
    if name not in vars(owner):
        raise BreachFailed(f"{owner.__name__} has no {name} any more")
    return vars(owner)[name]


def _put(module: str, name: str, new: Any) -> None:
    setattr(importlib.import_module(module), name, new)
