"""Who asks: the token says whose batches these are, and what may be done."""

import re

from aiohttp import web
from aiohttp.typedefs import Handler

from ingest_server.api.context import CONTEXT, GRANT, Context
from ingest_server.errors import Unauthorized
from ingest_server.tokens.grant import EVERYONE, NOBODY, Grant

OPEN_PATHS = frozenset({"/livez", "/readyz", "/openapi.json", "/"})
"""What is answered without a token too: probes have none, and the contract is no secret."""
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/-]+=*) *")


@web.middleware
async def identified(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse who has no token that is known, and tell the handlers who it is."""
    request[GRANT] = _grant(request, request.app[CONTEXT])
    return await handler(request)


def wants_tokens(context: Context) -> bool:
    """Whether somebody without a token is refused, as of now."""
    tokens = context.access.tokens
    if tokens is None:
        return False
    tokens.look()
    return tokens.wanted


def _grant(request: web.Request, context: Context) -> Grant:
    tokens = context.access.tokens
    if tokens is None or not wants_tokens(context):
        return EVERYONE
    shown = request.headers.getall("Authorization", [])
    bearer = _BEARER.fullmatch(shown[0]) if len(shown) == 1 else None
    found = tokens.find(bearer[1] if bearer is not None else "")
    if found is not None and bearer is not None:
        return found
    if request.path in OPEN_PATHS:
        return NOBODY
    if not shown:
        raise Unauthorized("this server wants a token: Authorization: Bearer …")
    if bearer is None:
        raise Unauthorized("Authorization is one header: Bearer, a blank, and the token")
    raise Unauthorized("this token is not known here: it was revoked, or it is another server's")
