"""The HTTP side put together."""

from importlib.metadata import version

from aiohttp import web

from ingest_server.api import batches, crawls, dead_letters, server
from ingest_server.api.context import CONTEXT, Context
from ingest_server.api.openapi import document
from ingest_server.api.problems import own_host_only, problems

ROUTES = (*batches.ROUTES, *crawls.ROUTES, *dead_letters.ROUTES, *server.ROUTES)


def application(context: Context) -> web.Application:
    """The application for this context. It owns nothing: what it works with is opened and closed by `ingest_server.app`."""
    app = web.Application(middlewares=[problems, own_host_only])
    app[CONTEXT] = context
    app[server.OPENAPI] = server.as_json(document(ROUTES, version("scrapy-batching")))
    for route in ROUTES:
        app.router.add_route(route.method, route.path, route.handler)
    return app


def runner(app: web.Application) -> web.AppRunner:
    """What serves it. Bodies are decoded by `ingest_server.inflate`, which stops at the limit: aiohttp must leave them alone."""
    return web.AppRunner(app, auto_decompress=False, access_log=None, handler_cancellation=False, shutdown_timeout=5.0)
