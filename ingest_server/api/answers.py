"""Views as HTTP answers, and query parameters read with their bounds."""

from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from ingest_server.errors import BadRequest

MAX_PAGE = 1000
_USUAL_PAGE = 100


def answer(view: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """The view as JSON."""
    return web.Response(
        body=view.model_dump_json().encode(), status=status, content_type="application/json", headers=headers or {}
    )


def page_size(request: web.Request) -> int:
    """The parameter `limit`. Raises `BadRequest`."""
    text = request.query.get("limit", str(_USUAL_PAGE))
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_PAGE):
        raise BadRequest(f"limit is a number from 1 to {MAX_PAGE}")
    return int(text)


def text_parameter(request: web.Request, name: str) -> str | None:
    """A query parameter that goes to the database as text. Raises `BadRequest` for what it cannot hold."""
    text = request.query.get(name)
    if text is not None and ("\0" in text or not text.isprintable() or len(text) > 255):
        raise BadRequest(f"{name} has at most 255 printable characters")
    return text


def uuid_of(text: str) -> UUID | None:
    """The UUID, or None where it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def cursor_of(request: web.Request) -> UUID | None:
    """The parameter `cursor`, as an earlier page gave it. Raises `BadRequest`."""
    text = request.query.get("cursor")
    if text is None:
        return None
    cursor = uuid_of(text)
    if cursor is None:
        raise BadRequest("cursor is what an earlier page gave")
    return cursor
