"""The sample site: property listings in HTML, on loopback only. `python -m spiders.site --port 0 --seed 7`.

`POST /round/1` lets time pass: from then on the pages show the prices of round 1.
"""

import argparse
import asyncio
import signal
from dataclasses import dataclass, field

from aiohttp import web

from spiders import pages
from spiders.listings import Listing, listings

_LOOPBACK = "127.0.0.1"


@dataclass
class Site:
    """What the site shows now, and which pages have stumbled already."""

    count: int
    seed: int
    round: int = 0
    stumbled: set[tuple[int, int]] = field(default_factory=set)

    @property
    def listings(self) -> tuple[Listing, ...]:
        return listings(count=self.count, seed=self.seed, round=self.round)

    def stumbles_now(self, listing: Listing) -> bool:
        """Whether this visit is the one that fails: the first in each round."""
        visit = (self.round, listing.number)
        if not listing.stumbles or visit in self.stumbled:
            return False
        self.stumbled.add(visit)
        return True


SITE = web.AppKey("site", Site)


def make_app(*, count: int = 1000, seed: int = 7) -> web.Application:
    """The site as an aiohttp application."""
    app = web.Application()
    app[SITE] = Site(count, seed)
    app.router.add_get("/", _home)
    app.router.add_get("/properties", _list)
    app.router.add_get(r"/properties/{number:\d+}", _detail)
    app.router.add_post(r"/round/{round:\d+}", _set_round)
    return app


async def _home(request: web.Request) -> web.Response:
    return _html(pages.home(request.app[SITE].count))


async def _list(request: web.Request) -> web.Response:
    shown = request.app[SITE].listings
    page = request.query.get("page", "1")
    if not page.isdecimal() or not 1 <= int(page) <= max(1, -(-len(shown) // pages.ON_A_PAGE)):
        raise web.HTTPNotFound
    return _html(pages.list_page(shown, int(page)))


async def _detail(request: web.Request) -> web.Response:
    site = request.app[SITE]
    number = int(request.match_info["number"])
    if number >= len(site.listings):
        raise web.HTTPNotFound
    listing = site.listings[number]
    if site.stumbles_now(listing):
        raise web.HTTPInternalServerError(text="The database is having its coffee.")
    return _html(pages.detail_page(listing))


async def _set_round(request: web.Request) -> web.Response:
    request.app[SITE].round = int(request.match_info["round"])
    return web.Response(status=204)


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", charset="utf-8")


async def serve(app: web.Application, port: int) -> None:
    """Serve until SIGTERM or SIGINT; says on stdout where it listens once it does."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, _LOOPBACK, port).start()
        print(f"listening on http://{_LOOPBACK}:{runner.addresses[0][1]}", flush=True)
        await ended.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m spiders.site", description="The sample site, on loopback.")
    parser.add_argument("--port", type=int, default=8000, help="0 lets the system choose (default: %(default)s)")
    parser.add_argument("--listings", type=int, default=1000, help="how many properties (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same site (default: %(default)s)")
    arguments = parser.parse_args()
    asyncio.run(serve(make_app(count=arguments.listings, seed=arguments.seed), arguments.port))


if __name__ == "__main__":
    main()
