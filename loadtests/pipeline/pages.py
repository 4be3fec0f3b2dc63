"""The site that is crawled, in a process of its own: any address gives the same small page. Ended by a signal."""

import asyncio

from aiohttp import web

_PAGE = b"<!doctype html><title>Listing</title>" + b"<p>One of many homes, with a garden.</p>" * 24


async def _answer(_: web.BaseRequest) -> web.Response:
    return web.Response(body=_PAGE, content_type="text/html")


async def serve() -> None:
    """Says where it listens, and then never returns."""
    runner = web.ServerRunner(web.Server(_answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
