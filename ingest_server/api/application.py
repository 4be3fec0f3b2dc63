"""The HTTP side put together."""

import re
from importlib.metadata import version

from aiohttp import web

from ingest_server.api import batches, crawls, server, tables
from ingest_server.api.connections import ConnectionBounds, Cut
from ingest_server.api.context import CONTEXT, Context
from ingest_server.api.letters import dead_letters, retry, retry_group
from ingest_server.api.letters import importing as letter_import
from ingest_server.api.openapi import document
from ingest_server.api.origin import from_here, tell_browsers
from ingest_server.api.problems import problems
from ingest_server.api.protocol import Runner
from ingest_server.api.who import identified

_LETTERS = (*dead_letters.ROUTES, *letter_import.ROUTES, *retry_group.ROUTES, *retry.ROUTES)
ROUTES = (*batches.ROUTES, *crawls.ROUTES, *_LETTERS, *tables.ROUTES, *server.ROUTES)


def application(context: Context) -> web.Application:
    """The application for this context. It owns nothing: what it works with is opened and closed by `ingest_server.app`."""
    app = web.Application(middlewares=[problems, from_here, identified])
    app.on_response_prepare.append(tell_browsers)
    app[CONTEXT] = context
    published = [document(ROUTES, version("scrapy-batching"), tokens=tokens) for tokens in (False, True)]
    app[server.OPENAPI] = (server.as_json(published[0]), server.as_json(published[1]))
    for route in ROUTES:
        resource = app.router.add_resource(_pattern(route.path))
        for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
            resource.add_route(method, route.handler)
    return app


def _pattern(path: str) -> str:
    """The path as aiohttp reads it. What is open takes no word that another route has there: `Allow` would name its methods."""
    parts = path.split("/")
    for place, part in enumerate(parts):
        if not part.startswith("{"):
            continue
        others = (other.path.split("/") for other in ROUTES)
        words = {
            other[place] for other in others if other[:place] == path.split("/")[:place] and len(other) == place + 1
        }
        taken = "|".join(re.escape(word) for word in sorted(words) if not word.startswith("{"))
        # braces too: aiohttp's own pattern for a part of the path leaves them out, and a table may be named so
        parts[place] = f"{{{part[1:-1]}:{f'(?!(?:{taken})$)' if taken else ''}[^/]+}}"
    return "/".join(parts)


def runner(
    app: web.Application,
    *,
    access_log: bool = False,
    bounds: ConnectionBounds = ConnectionBounds(),  # noqa: B008  it is frozen
    cut: Cut = lambda _why, _whose: None,
) -> web.AppRunner:
    """What serves it; `cut` is told of connections that were ended for what they did."""
    return Runner(app, access_log=access_log, bounds=bounds, cut=cut)
