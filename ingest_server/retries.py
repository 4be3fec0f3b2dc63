"""A retry of dead letters as a batch: what its body says of every item, and which retries are on their way here.

The body is the only thing that says it, so that it outlives the process together with the batch. A line holds the letter, the
attempt that it was at, its crawl (or nothing) and the item, with a space between them; the item is JSON on one line.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:scrapy-batching:retry")


@dataclass(frozen=True, slots=True)
class Retry:
    """One letter's item on its way again. `attempt` counts what was tried before; `item` is one JSON value on one line."""

    letter: UUID
    attempt: int
    crawl: str | None
    item: bytes = field(repr=False)

    @property
    def name(self) -> tuple[UUID, int, bytes]:
        """What it is known by: (letter, attempt, item). Asked for twice it is made once."""
        return self.letter, self.attempt, hashlib.sha256(self.item).digest()


def on_one_line(item: bytes) -> bytes:
    """The same JSON value on one line: a line end inside it can only be white space."""
    return item.replace(b"\n", b" ").replace(b"\r", b" ").strip(b" \t")


def body_of(retries: Iterable[Retry]) -> bytes:
    """The body of a batch that makes these retries."""
    return b"".join(
        b"%s %d %s %s\n" % (str(one.letter).encode(), one.attempt, (one.crawl or "").encode(), one.item)
        for one in retries
    )


def batch_of(body: bytes) -> UUID:
    """The name of the batch that has this body: who asks for the same retries again, asks for the same batch."""
    return uuid5(_NAMESPACE, hashlib.sha256(body).hexdigest())


def read(body: bytes) -> list[Retry]:
    """What `body_of` wrote."""
    return [_read(line) for line in _lines(body)]


def _lines(body: bytes) -> Iterator[bytes]:
    return filter(None, body.split(b"\n"))


def _read(line: bytes) -> Retry:
    letter, attempt, crawl, item = line.split(b" ", 3)
    return Retry(UUID(letter.decode()), int(attempt), crawl.decode() or None, item)


def items(body: bytes) -> list[bytes]:
    """The items alone."""
    return [line.split(b" ", 3)[3] for line in _lines(body)]


class Underway:
    """The retries that this server has accepted and not settled, so that a group asked for twice is not sent twice."""

    def __init__(self) -> None:
        self._batches: dict[tuple[str, UUID, int, bytes], UUID] = {}

    def batch(self, owner: str, retry: Retry) -> UUID | None:
        """The batch that makes this retry, if it is on its way here."""
        return self._batches.get((owner, *retry.name))

    def add(self, owner: str, retries: Sequence[Retry], batch: UUID, settled: "asyncio.Future[Any]") -> None:
        """They are accepted; they are forgotten once their batch is settled, or given up."""
        names = [(owner, *one.name) for one in retries]
        self._batches.update(dict.fromkeys(names, batch))

        def forget(_: object) -> None:
            for name in names:
                self._batches.pop(name, None)

        settled.add_done_callback(forget)
