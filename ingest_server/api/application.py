"""The HTTP side put together."""

import re
from importlib.metadata import version

from aiohttp import web

from ingest_server.api import batches, crawls, dead_letters, server
from ingest_server.api.context import CONTEXT, Context
from ingest_server.api.openapi import document
from ingest_server.api.problems import own_host_only, problems
from ingest_server.api.protocol import Runner

ROUTES = (*batches.ROUTES, *crawls.ROUTES, *dead_letters.ROUTES, *server.ROUTES)


def application(context: Context) -> web.Application:
    """The application for this context. It owns nothing: what it works with is opened and closed by `ingest_server.app`."""
    app = web.Application(middlewares=[problems, own_host_only])
    app[CONTEXT] = context
    app[server.OPENAPI] = server.as_json(document(ROUTES, version("scrapy-batching")))
    for route in ROUTES:
        # braces too: aiohttp's own pattern for a part of the path leaves them out, and a table may be named so
        resource = app.router.add_resource(re.sub(r"{(\w+)}", r"{\1:[^/]+}", route.path))
        for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
            resource.add_route(method, route.handler)
    return app


def runner(app: web.Application) -> web.AppRunner:
    """What serves it."""
    return Runner(app)
