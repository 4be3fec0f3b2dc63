"""What the handlers work with: plain values and the doors."""

import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote_to_bytes

from aiohttp import web
from pydantic import BaseModel

from ingest_server.admission import Admission
from ingest_server.api.recall import Recall
from ingest_server.errors import BadRequest, Forbidden
from ingest_server.model import Keeping, TableName
from ingest_server.parking.parking import Parking
from ingest_server.ports import BatchQueue, Ledger, Sink
from ingest_server.retries import Underway
from ingest_server.statuses import Statuses
from ingest_server.telemetry import Telemetry
from ingest_server.tokens.grant import Grant
from ingest_server.tokens.keeper import Tokens
from ingest_server.tokens.rates import Budgets


@dataclass(frozen=True, slots=True)
class Limits:
    """What one batch may have, in items, bytes and seconds."""

    items: int = 10_000
    sent_bytes: int = 16 * 2**20
    decoded_bytes: int = 64 * 2**20
    item_bytes: int = 8 * 2**20
    receive_seconds: float = 60.0
    item_values: int = 500_000
    batch_values: int = 2_000_000


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask, from where, and at which rate."""

    budgets: Budgets
    tokens: Tokens | None = None
    """None where none are wanted, nor ever will be."""
    own_hosts_only: bool = True
    """Whether a Host that is neither loopback's nor one of `hosts` is refused."""
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    """Web pages' origins that may ask from a browser."""


@dataclass(frozen=True, slots=True)
class Context:
    """The server behind the handlers."""

    admission: Admission
    queue: BatchQueue
    statuses: Statuses
    parking: Parking
    sink: Sink
    ledger: Ledger
    telemetry: Telemetry
    clock: Callable[[], datetime]
    workers_alive: Callable[[], int]
    schema: str = "public"
    limits: Limits = Limits()
    keeping: Keeping = field(default_factory=Keeping)
    access: Access = field(default_factory=lambda: Access(Budgets(time.monotonic)))
    known_tables: set[TableName] = field(default_factory=set)
    """Tables that the catalogue had when it was asked: their batches are taken while it cannot be asked."""
    underway: Underway = field(default_factory=Underway)
    """Retries of dead letters that this server has accepted and not settled."""
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
    is_body_required: bool = True
    problems: tuple[int, ...] = ()
    headers: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Status to the headers that its answer may have."""


GRANT: web.RequestKey[Grant] = web.RequestKey("grant", Grant)


def grant_of(request: web.Request) -> Grant:
    """What whoever asks may do."""
    return request[GRANT]


def owner_of(request: web.Request) -> str:
    """Whose batches this request may see."""
    return request[GRANT].owner


def check_granted(request: web.Request, table: TableName) -> None:
    """Raise `Forbidden` where the token is not for this table. Whether there is such a table is not said."""
    grant = request[GRANT]
    if table not in grant.tables:
        shown = table.shown(request.app[CONTEXT].schema)
        raise Forbidden(f"the token of {grant.owner} is not for table {shown}", table=shown)


def check_admin(request: web.Request) -> None:
    """Raise `Forbidden` where the token is no administrator's."""
    grant = request[GRANT]
    if not grant.is_admin:
        raise Forbidden(f"the token of {grant.owner} is no administrator's: [tokens.{grant.owner}] has no admin = true")


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
