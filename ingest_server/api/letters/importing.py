"""Dead letters come back as they were exported: all lines of a body, or, where one is wrong, none."""

from base64 import b64decode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from aiohttp import web

from ingest_server import wire
from ingest_server.api.answers import answer, uuid_of
from ingest_server.api.bodies import body_within
from ingest_server.api.context import CONTEXT, TABLE, VISIBLE_ASCII, Route, check_granted, owner_of
from ingest_server.api.letters.places import COLUMN
from ingest_server.api.views import LettersImportView
from ingest_server.errors import BadRequest, Unprocessable
from ingest_server.model import DeadLetter, Refusal, TableName
from ingest_server.splitting import split_in_turns
from ingest_server.turns import Breath

_CRAWL = Annotated[str, msgspec.Meta(pattern=VISIBLE_ASCII["pattern"])]
_CODE = "^[ -~]{1,255}$"
_MOST = 2**30
# asyncpg takes Python's first and last moment for infinity, and gives it back without a time zone.
_EARLIEST = datetime.min.replace(microsecond=1, tzinfo=UTC)
_LATEST = datetime.max.replace(microsecond=999_998, tzinfo=UTC)
_Number = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    table: str
    batch: str
    index: _Number
    code: Annotated[str, msgspec.Meta(pattern=_CODE)]
    message: str
    attempts: Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    crawl: _CRAWL | None = None
    column: Annotated[str, msgspec.Meta(max_length=63)] | None = None
    item: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    raw: str | msgspec.UnsetType = msgspec.UNSET


_DECODER = msgspec.json.Decoder(_Line)


async def put_in(request: web.Request) -> web.Response:
    """Put exported letters in, as letters of whoever asks. Those that are there already are left alone."""
    context = request.app[CONTEXT]
    limits = context.limits
    async with body_within(request, limits.sent_bytes, "application/x-ndjson") as body:
        lines = await split_in_turns(body, "ndjson", limits.items)
        if not lines:
            raise Unprocessable("there is no dead letter in the body")
        letters = await _letters(lines, context.schema)
        for table in {letter.table for letter in letters}:
            check_granted(request, table)
        imported = await context.ledger.import_letters(owner_of(request), letters)
    return answer(LettersImportView(imported=imported, existing=len(letters) - imported))


async def _letters(lines: Sequence[bytes], schema: str) -> list[DeadLetter]:
    letters: list[DeadLetter] = []
    faults: list[Refusal] = []
    breath = Breath(sum(map(len, lines)))
    for index, line in enumerate(lines):
        if breath.is_due(len(line)):
            await breath.take()
        try:
            letters.append(_letter(line, schema))
        except (ValueError, RecursionError, OverflowError) as error:
            # msgspec's words name the member and the type, and not what was sent
            said = str(error) if isinstance(error, msgspec.ValidationError | _FaultError) else "is not one JSON object"
            faults.append(Refusal(index, "invalid", said))
    if faults:
        first = faults[0]
        raise BadRequest(
            f"{len(faults)} of {len(lines)} lines are not dead letters as an export has them, and none was imported; "
            f"the first is line {first.index + 1}: {first.message}",
            errors=faults,
        )
    return letters


class _FaultError(ValueError):
    """What is wrong with a line, in words that hold none of its content."""


def _letter(line: bytes, schema: str) -> DeadLetter:
    said = _DECODER.decode(line)
    name, batch = uuid_of(said.id), uuid_of(said.batch)
    if name is None or batch is None:
        raise _FaultError("id and batch are UUIDs")
    if any("\0" in text for text in (said.message, said.column or "")):
        raise _FaultError("message and column hold no NUL")
    try:
        table = TableName.parse(said.table, schema)
    except ValueError as error:
        raise _FaultError(f"table: {error}") from None
    try:
        created_at = said.created_at.astimezone(UTC)
    except OverflowError:
        raise _FaultError("created_at is no time in the years 1 to 9999") from None
    return DeadLetter(
        id=name,
        table=table,
        batch=batch,
        crawl=said.crawl,
        index=said.index,
        code=said.code,
        column=said.column,
        message=said.message,
        raw=_content(said),
        attempts=said.attempts,
        created_at=min(max(created_at, _EARLIEST), _LATEST),
    )


def _content(said: _Line) -> bytes:
    match said.item, said.raw:
        case msgspec.Raw() as item, msgspec.UNSET:
            if wire.is_json(content := bytes(item)):
                return content
        case msgspec.UNSET, str() as raw:
            try:
                return b64decode(raw, validate=True)
            except ValueError:
                raise _FaultError("raw is not base64") from None
    raise _FaultError("a dead letter has item, which is JSON, or raw, which is base64, and not both")


_UUID = {"type": "string", "format": "uuid"}
_COUNT = {"type": "integer", "minimum": 0, "maximum": _MOST}
_LINE: dict[str, Any] = {
    "description": "dead letters as an export has them, one a line",
    "type": "object",
    "properties": {
        "id": _UUID,
        "table": TABLE,
        "batch": _UUID,
        "crawl": {"anyOf": [VISIBLE_ASCII, {"type": "null"}]},
        "index": _COUNT,
        "code": {"type": "string", "pattern": _CODE},
        "column": {"anyOf": [COLUMN, {"type": "null"}]},
        "message": {"type": "string", "pattern": r"^[^\u0000]*$"},
        "item": {},
        "raw": {"type": "string", "contentEncoding": "base64", "pattern": "^(?:[A-Za-z0-9+/]{4})*$"},
        "attempts": _COUNT | {"minimum": 1},
        "created_at": {"type": "string", "format": "date-time"},
    },
    "required": ["id", "table", "batch", "index", "code", "message", "attempts", "created_at"],
    "oneOf": [{"required": ["item"]}, {"required": ["raw"]}],
    "additionalProperties": False,
}

ROUTES = (
    Route(
        *("POST", "/v1/dead-letters", put_in, "Import dead letters"),
        answers={200: LettersImportView},
        body={"application/x-ndjson": _LINE},
        problems=(408, 413, 415, 422, 503),
    ),
)
