"""What can go wrong, as one tree; the consequence stands beside each leaf.

IngestError
├── StartRefused            the server does not start; exit code 1 and the remedy
│   ├── EmbeddedUnavailable     no embedded PostgreSQL to be had
│   └── IncompatibleTable       a model and its table disagree
├── RequestRefused          an HTTP answer: problem+json with `status`
│   ├── BadRequest              400
│   ├── Unauthorized            401, WWW-Authenticate
│   ├── Forbidden               403
│   ├── NotFound                404
│   ├── Gone                    410
│   ├── ReceiveTimeout          408
│   ├── Conflict                409, Retry-After
│   ├── TooLarge                413, with limit and limit_unit
│   ├── UnsupportedMedia        415
│   ├── Unprocessable           422
│   ├── TooManyRequests         429, Retry-After: this owner's rate
│   └── Overloaded              503, Retry-After: nothing was kept
└── SinkError               a batch could not be settled now; it is kept and comes again
    ├── Unavailable             the sink is away or too busy for anyone: wait, then the same batch
    ├── Contended               this batch was unlucky (deadlock, lock time-out): again, then aside
    ├── Misconfigured           the table cannot be written by anyone: parked, loud, until a try passes
    └── NearlyAllRefused        the table refuses nearly every item for one reason: parked, loud, until somebody says so
"""

from collections.abc import Sequence
from typing import ClassVar

from ingest_server.model import Refusal


class IngestError(Exception):
    """Anything that this package raises on purpose."""


class StartRefused(IngestError):
    """The server cannot start as it is configured. `remedy` says what to do."""

    def __init__(self, what: str, *, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}: {remedy}")


class EmbeddedUnavailable(StartRefused):
    """The embedded PostgreSQL cannot be had."""


class IncompatibleTable(StartRefused):
    """A model and the table in the database disagree in a way that is not ours to mend."""


class RequestRefused(IngestError):
    """A request that was not carried out; nothing of it was kept."""

    status: ClassVar[int]
    title: ClassVar[str]
    kind: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        limit: int | None = None,
        limit_unit: str | None = None,
        table: str | None = None,
        retry_after: int | None = None,
        errors: Sequence[Refusal] = (),
    ) -> None:
        self.detail = detail
        self.limit = limit
        self.limit_unit = limit_unit
        self.table = table
        self.retry_after = retry_after
        self.errors = tuple(errors)
        super().__init__(detail)


class BadRequest(RequestRefused):
    """The request breaks a rule of the contract."""

    status = 400
    title = "Bad request"
    kind = "bad-request"


class Unauthorized(RequestRefused):
    """No token, or none that is known."""

    status = 401
    title = "Unauthorized"
    kind = "unauthorized"


class Forbidden(RequestRefused):
    """The request comes from where none is wanted, or the token is not for this."""

    status = 403
    title = "Forbidden"
    kind = "forbidden"


class NotFound(RequestRefused):
    """No such table, batch, crawl or dead letter."""

    status = 404
    title = "Not found"
    kind = "not-found"


class Gone(RequestRefused):
    """The batch was settled long ago: its details have expired, and its counts stand in its crawl's."""

    status = 410
    title = "Gone"
    kind = "gone"


class ReceiveTimeout(RequestRefused):
    """The body did not arrive in time."""

    status = 408
    title = "Request timeout"
    kind = "request-timeout"


class Conflict(RequestRefused):
    """A batch of this name is being received right now."""

    status = 409
    title = "Conflict"
    kind = "conflict"


class TooLarge(RequestRefused):
    """More items or bytes than one batch may have."""

    status = 413
    title = "Content too large"
    kind = "too-large"


class UnsupportedMedia(RequestRefused):
    """A media type or an encoding that the contract does not name."""

    status = 415
    title = "Unsupported media type"
    kind = "unsupported-media-type"


class Unprocessable(RequestRefused):
    """The name was used before with another body, an item of a strict batch is invalid, or there is no item."""

    status = 422
    title = "Unprocessable content"
    kind = "unprocessable"


class TooManyRequests(RequestRefused):
    """The owner sends more items or bytes a second than it may; nothing was kept."""

    status = 429
    title = "Too many requests"
    kind = "too-many-requests"


class Overloaded(RequestRefused):
    """Queue, memory or disk is full, or the server is shutting down: nothing was kept."""

    status = 503
    title = "Service unavailable"
    kind = "unavailable"


class SinkError(IngestError):
    """A batch that could not be settled now. `reason` is safe to log: it holds no item's content."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Unavailable(SinkError):
    """The sink could not be asked."""


class Contended(SinkError):
    """The sink could be asked, but this batch met a lock or a limit."""


class Misconfigured(SinkError):
    """The table cannot be written as things are: missing, changed, or without privilege."""

    def __init__(self, reason: str, *, code: str = "configuration", column: str | None = None) -> None:
        self.code = code
        self.column = column
        super().__init__(reason)


class NearlyAllRefused(SinkError):
    """Of the table's newest items nearly all were refused with one code and column; this batch was not stored."""

    def __init__(self, reason: str, *, code: str, column: str | None) -> None:
        self.code = code
        self.column = column
        super().__init__(reason)
