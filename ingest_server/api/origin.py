"""Where a request comes from: its Host, and the web page that a browser asks for. And what every answer says to browsers."""

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from ingest_server.api.context import CONTEXT, Access
from ingest_server.errors import Forbidden

_CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS = "GET, HEAD, POST, DELETE"
_REQUEST_HEADERS = (
    "Accept, Authorization, Content-Encoding, Content-Type, Idempotency-Key, If-None-Match, Ingest-Crawl, Prefer"
)
_ANSWER_HEADERS = "Idempotency-Replayed, Location, Preference-Applied, Retry-After, WWW-Authenticate"
_REMEMBERED_SECONDS = "600"
_PAGE_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@web.middleware
async def from_here(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a foreign Host and what a foreign web page wants changed; answer a preflight for an origin that is named.

    On loopback a page that rebinds its own name to 127.0.0.1 would reach the server; and a browser sends some requests, a POST
    without a body among them, for any page without asking first.
    """
    access = request.app[CONTEXT].access
    host = request.headers.get("Host")
    if host is not None and access.own_hosts_only and not _is_own(host, access.hosts):
        raise Forbidden("the Host header names another host than this one: ask for 127.0.0.1, or name it in hosts")
    origin = request.headers.get("Origin")
    if origin is None or _is_same(origin, host):
        return await handler(request)
    is_named = origin.lower() in access.origins
    if not is_named and request.method not in _CHANGES_NOTHING:
        raise Forbidden("a web page of another origin asks for this: name it in origins if it may")
    if is_named and request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return web.Response(status=204)
    return await handler(request)


async def tell_browsers(request: web.Request, response: web.StreamResponse) -> None:
    """Headers of every answer: what a browser may do with it."""
    headers = response.headers
    headers["Server"] = "ingest-server"
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Cache-Control", "no-store")
    if response.content_type == "text/html":
        headers.setdefault("Content-Security-Policy", _PAGE_POLICY)
        headers["X-Frame-Options"] = "DENY"
        headers["Referrer-Policy"] = "no-referrer"
    access = request.app[CONTEXT].access
    if access.origins:
        _tell_origins(request, headers, access)


def _tell_origins(request: web.Request, headers: CIMultiDict[str], access: Access) -> None:
    headers.add("Vary", "Origin")
    origin = request.headers.get("Origin", "")
    if origin.lower() not in access.origins:
        return
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = _ANSWER_HEADERS
    if request.method != "OPTIONS":
        return
    headers["Access-Control-Allow-Methods"] = _METHODS
    headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
    headers["Access-Control-Max-Age"] = _REMEMBERED_SECONDS
    if request.headers.get("Access-Control-Request-Private-Network") == "true":
        headers["Access-Control-Allow-Private-Network"] = "true"


def _is_same(origin: str, host: str | None) -> bool:
    return host is not None and urlsplit(origin).netloc.lower() == host.lower()


def _is_own(host: str, hosts: frozenset[str]) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost" or name.endswith(".localhost") or name in hosts:
            return True
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
