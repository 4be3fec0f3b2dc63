"""Bodies that are no batches: read whole within a bound, and accounted like those that are."""

import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from ingest_server.admission import check_size
from ingest_server.api.context import CONTEXT
from ingest_server.api.reading import read_body
from ingest_server.errors import BadRequest, UnsupportedMedia
from ingest_server.inflate import inflater
from ingest_server.wire import BOM

M = TypeVar("M", bound=BaseModel)


@contextlib.asynccontextmanager
async def body_within(request: web.Request, most: int, media_type: str) -> AsyncIterator[bytes]:
    """The decoded body, which takes its room until the block ends. Raises one of `RequestRefused`.

    `most` bounds it in bytes, as sent and decoded. An empty body needs no Content-Type.
    """
    context = request.app[CONTEXT]
    decoder = inflater(", ".join(request.headers.getall("Content-Encoding", [])))
    check_size(request.content_length or 0, most, "bytes")
    room = context.admission.enter(request.content_length)
    try:
        seconds = context.limits.receive_seconds
        arrived = await read_body(request, room, decoder, sent_bytes=most, decoded_bytes=most, seconds=seconds)
        if arrived.body and request.content_type != media_type:
            raise UnsupportedMedia(f"Content-Type is {media_type}")
        yield arrived.body
    finally:
        room.give_back()


def read_as(model: type[M], body: bytes) -> M:
    """The body as this model. Raises `BadRequest`, with what is wrong first."""
    try:
        return model.model_validate(orjson.loads(body.removeprefix(BOM)))
    except orjson.JSONDecodeError:
        raise BadRequest("the body is not JSON") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadRequest(f"{'.'.join(map(str, first['loc'])) or 'the body'}: {first['msg']}") from None
