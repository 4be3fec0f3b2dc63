"""Views as HTTP answers, and query parameters read with their bounds."""

import re
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel

from ingest_server import wire
from ingest_server.errors import BadRequest

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CODE = re.compile(r"[ -~]{0,255}")
MAX_PAGE = 1000
_USUAL_PAGE = 100


def answer(view: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """The view as JSON."""
    return web.Response(
        body=view.model_dump_json().encode(), status=status, content_type="application/json", headers=headers or {}
    )


def accepts(request: web.Request, media_type: str) -> bool:
    """Whether the header `Accept` names this media type, and not with `q=0`."""
    for part in ",".join(request.headers.getall("Accept", [])).lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        if name == media_type:
            return not any(re.fullmatch(r"q=0(\.0{0,3})?", one) for one in parameters)
    return False


def page_size(request: web.Request) -> int:
    """The parameter `limit`. Raises `BadRequest`."""
    text = request.query.get("limit", str(_USUAL_PAGE))
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_PAGE):
        raise BadRequest(f"limit is a number from 1 to {MAX_PAGE}")
    return int(text)


def crawl_parameter(request: web.Request) -> str | None:
    """The parameter `crawl`. Raises `BadRequest`."""
    text = request.query.get("crawl")
    return None if text is None else wire.crawl_id(text)


def code_parameter(request: web.Request) -> str | None:
    """The parameter `code`: why items were refused. Raises `BadRequest` for what no code is made of."""
    text = request.query.get("code")
    if text is not None and not _CODE.fullmatch(text):
        raise BadRequest("code has at most 255 characters of ASCII")
    return text


def uuid_of(text: str) -> UUID | None:
    """The UUID, or None where it is none. Python's own reader takes braces, prefixes and underscores as well."""
    return UUID(text) if _UUID.fullmatch(text) else None
