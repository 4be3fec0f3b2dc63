"""A second client, written only from PROTOCOL.md, with nothing but Python's standard library.

It keeps a batch until the server has it: it repeats what may be repeated under the same name, waits as long as it is told
to, cuts in two what is too large, follows a 202 until the batch is settled, and keeps aside what is refused for good.
"""

import email.utils
import gzip
import http.client
import json
import random
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

AGAIN = frozenset({408, 409, 429, 502, 503, 504})


@dataclass
class Outcome:
    """What became of the items."""

    succeeded: int = 0
    failed: int = 0
    inserted: int = 0
    replayed: int = 0
    tries: int = 0
    cuts: int = 0
    kept_aside: list[tuple[list[Any], dict[str, Any]]] = field(default_factory=list)


class SecondClient:
    """Sends items to one server, one batch after the other."""

    def __init__(
        self,
        address: Callable[[], tuple[str, int]],
        *,
        pause: Callable[[float], None] = time.sleep,
        chance: Callable[[float, float], float] = random.uniform,
        give_up_after: int = 10_000,
    ) -> None:
        self._address = address
        self._pause = pause
        self._chance = chance
        self._give_up_after = give_up_after
        self._connection: http.client.HTTPConnection | None = None

    def deliver(self, table: str, items: Iterable[Any], *, crawl: str, size: int = 100, wait: int = 5) -> Outcome:
        """Deliver all items in batches of `size`; returns when each batch is settled or kept aside."""
        outcome = Outcome()
        for batch in _cut(items, size):
            self._deliver_batch(table, batch, crawl, wait, outcome)
        return outcome

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _deliver_batch(self, table: str, items: list[Any], crawl: str, wait: int, outcome: Outcome) -> None:
        body = gzip.compress(b"".join(json.dumps(item).encode() + b"\n" for item in items), mtime=0)
        headers = {
            "Content-Type": "application/x-ndjson",
            "Content-Encoding": "gzip",
            "Idempotency-Key": f'"{uuid.uuid4()}"',
            "Ingest-Crawl": crawl,
            "Prefer": f"wait={wait}",
        }
        path = f"/v1/tables/{urllib.parse.quote(table, safe='')}/batches"
        for attempt in range(self._give_up_after):
            outcome.tries += 1
            answer = self._ask("POST", path, body, headers)
            if answer is None or answer[0] in AGAIN:
                self._pause(self._seconds(attempt, answer))
                continue
            status, answer_headers, view = answer
            outcome.replayed += answer_headers.get("Idempotency-Replayed") == "true"
            if status == 202:
                # settled, or the server lost it with its memory: then the same name is sent again
                view = self._follow(answer_headers["Location"], wait)
                if view is None:
                    continue
                status = 200
            if status in (200, 207):
                outcome.succeeded += view["succeeded"]
                outcome.failed += view["failed"]
                outcome.inserted += view["inserted"]
                return
            if status == 413 and len(items) > 1:
                outcome.cuts += 1
                half = len(items) // 2
                self._deliver_batch(table, items[:half], crawl, wait, outcome)
                self._deliver_batch(table, items[half:], crawl, wait, outcome)
                return
            outcome.kept_aside.append((items, view))
            return
        raise TimeoutError("the server did not take the batch")

    def _follow(self, location: str, wait: int) -> dict[str, Any] | None:
        """The batch once it is settled, or None where the server does not know it any more."""
        for attempt in range(self._give_up_after):
            answer = self._ask("GET", location, None, {"Prefer": f"wait={wait}"})
            if answer is None or answer[0] in AGAIN:
                self._pause(self._seconds(attempt, answer))
                continue
            status, _, view = answer
            if status == 404:
                return None
            if status == 200 and view["status"] in ("completed", "failed"):
                return view
        raise TimeoutError("the batch was not settled")

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Any, Any] | None:
        """Status, headers and JSON, or None where there was no whole answer."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(*self._address(), timeout=30)
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            return response.status, response.headers, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            self.close()
            return None

    def _seconds(self, attempt: int, answer: tuple[int, Any, Any] | None) -> float:
        """What Retry-After says, in seconds or as a date; else back-off with full jitter."""
        said = None if answer is None else answer[1].get("Retry-After")
        if said is None:
            return self._chance(0, min(10.0, 0.1 * 2.0 ** min(attempt, 10)))
        if said.isdecimal():
            return float(said)
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())


def _cut(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
