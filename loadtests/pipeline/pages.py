"""The site that is crawled, in a process of its own. Ended by a signal.

`/json/ITEMS/SEED` and `/html/ITEMS/SEED` are pages that hold so many listings; any other address gives the same small page.
"""

import asyncio
import re
from collections.abc import Callable

from aiohttp import web

from loadtests.pipeline.documents import html_document, json_document

_PAGE = b"<!doctype html><title>Listing</title>" + b"<p>One of many homes, with a garden.</p>" * 24
_WHOLE = re.compile(r"/(json|html)/(\d+)/(\d+)")
_DOCUMENTS: dict[str, tuple[Callable[[int, int], bytes], str]] = {
    "json": (json_document, "application/json"),
    "html": (html_document, "text/html"),
}


async def _answer(request: web.BaseRequest) -> web.Response:
    asked = _WHOLE.fullmatch(request.path)
    if asked is None:
        return web.Response(body=_PAGE, content_type="text/html")
    document, kind = _DOCUMENTS[asked[1]]
    return web.Response(body=document(int(asked[2]), int(asked[3])), content_type=kind, charset="utf-8")


async def serve() -> None:
    """Says where it listens, and then never returns."""
    runner = web.ServerRunner(web.Server(_answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
