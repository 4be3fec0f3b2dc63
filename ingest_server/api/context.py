"""What the handlers work with: plain values and the doors."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from ingest_server.admission import Admission
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


CONTEXT: web.AppKey[Context] = web.AppKey("context", Context)

Handler = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A header or query parameter, as the published contract describes it."""

    place: str
    name: str
    text: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: what serves it, and what the published contract says of it."""

    method: str
    path: str
    handler: Handler
    summary: str
    answers: dict[int, type[BaseModel] | str]
    """Status to the body's model, or to a media type where it is no JSON."""
    parameters: tuple[Parameter, ...] = ()
    body: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Media type to the schema of the request's body."""
    problems: tuple[int, ...] = ()


def owner_of(request: web.Request) -> str:  # noqa: ARG001  the request will tell once there are tokens
    """Whose batches this request may see."""
    return EVERYONE


def table_of(request: web.Request, text: str | None = None) -> TableName:
    """The table that the path, or a parameter, names. Raises `BadRequest`."""
    try:
        return TableName.parse(request.match_info["table"] if text is None else text, request.app[CONTEXT].schema)
    except ValueError as error:
        raise BadRequest(str(error)) from None
