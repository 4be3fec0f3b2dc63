"""What the handlers work with: plain values and the doors."""

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote_to_bytes

from aiohttp import web
from pydantic import BaseModel

from ingest_server.admission import Admission
from ingest_server.api.recall import Recall
from ingest_server.errors import BadRequest
from ingest_server.model import TableName
from ingest_server.ports import BatchQueue, Ledger, Sink
from ingest_server.statuses import Statuses
from ingest_server.telemetry import Telemetry

# Without tokens there is one owner who sees everything.
EVERYONE = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one batch may have, in items, bytes and seconds."""

    items: int = 10_000
    sent_bytes: int = 16 * 2**20
    decoded_bytes: int = 64 * 2**20
    item_bytes: int = 8 * 2**20
    receive_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Context:
    """The server behind the handlers."""

    admission: Admission
    queue: BatchQueue
    statuses: Statuses
    sink: Sink
    ledger: Ledger
    telemetry: Telemetry
    clock: Callable[[], datetime]
    workers_alive: Callable[[], int]
    schema: str = "public"
    limits: Limits = Limits()
    known_tables: set[TableName] = field(default_factory=set)
    """Tables that the catalogue had when it was asked: their batches are taken while it cannot be asked."""
    recall: Recall = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "recall", Recall(self.ledger))


_STRAY_PERCENT = re.compile(r"%(?![0-9a-fA-F]{2})")
CONTEXT: web.AppKey[Context] = web.AppKey("context", Context)

Handler = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A header or query parameter, as the published contract describes it."""

    place: str
    name: str
    text: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})


VISIBLE_ASCII = {"type": "string", "pattern": "^[!-~]{1,255}$"}
TABLE = {
    "type": "string",
    "minLength": 1,
    "description": "`name` or `schema.name`; a part that contains a dot is double-quoted; at most 63 bytes each",
}
LIMIT = Parameter("query", "limit", "how many", {"type": "integer", "minimum": 1, "maximum": 1000})
CURSOR = "go on where an earlier page ended: its `cursor`"
PATH_PARTS: dict[str, dict[str, Any]] = {
    "table": TABLE,
    "crawl": VISIBLE_ASCII,
    "id": {"type": "string", "format": "uuid"},
}
"""What the parts of a path may be, by the name that the routes give them."""


Body = type[BaseModel] | str


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: what serves it, and what the published contract says of it."""

    method: str
    path: str
    handler: Handler
    summary: str
    answers: dict[int, Body | tuple[Body, ...]]
    """Status to the body's model, or to a media type where it is no JSON; or to several, of which Accept chooses."""
    parameters: tuple[Parameter, ...] = ()
    body: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Media type to the schema of the request's body."""
    problems: tuple[int, ...] = ()
    headers: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Status to the headers that its answer may have."""


def owner_of(request: web.Request) -> str:  # noqa: ARG001  the request will tell once there are tokens
    """Whose batches this request may see."""
    return EVERYONE


def path_part(request: web.Request, name: str) -> str:
    """The part of the path that the route calls so, decoded once and strictly. Raises `BadRequest`.

    aiohttp's `match_info` leaves bytes that are not UTF-8 as they were written: `%FF` and `%25FF` would be one table.
    """
    resource = request.match_info.route.resource
    assert resource is not None
    place = resource.canonical.split("/").index(f"{{{name}}}")
    written = request.rel_url.raw_path.split("/")[place]
    if _STRAY_PERCENT.search(written):
        raise BadRequest(f"{name} in the path: after % come two hexadecimal digits")
    try:
        return unquote_to_bytes(written).decode()
    except UnicodeError:
        raise BadRequest(f"{name} in the path is percent-encoded UTF-8") from None


def table_named(request: web.Request, text: str) -> TableName:
    """The table of this name. Raises `BadRequest` where it is none that PostgreSQL could have."""
    try:
        text.encode()
        return TableName.parse(text, request.app[CONTEXT].schema)
    except UnicodeEncodeError:
        raise BadRequest("a table's name is Unicode text") from None
    except ValueError as error:
        raise BadRequest(str(error)) from None
