"""A real API with a rate limit, and a site that lists what can be looked up there."""

from contextlib import asynccontextmanager

from aiohttp import web


class Places:
    """At most `limit` calls in each span of `seconds` of `clock`, and 50 names a call; the rest is put off with 429."""

    def __init__(self, clock, *, limit=10, seconds=3.0):
        self._clock = clock
        self._limit = limit
        self._seconds = seconds
        self._since = clock()
        self._count = 0
        self.calls = []
        self.put_off = 0
        self.url = ""

    async def _look_up(self, request):
        names = await request.json()
        if self._clock() - self._since >= self._seconds:
            self._since, self._count = self._clock(), 0
        self._count += 1
        if self._count > self._limit:
            self.put_off += 1
            seconds = self._since + self._seconds - self._clock()
            return web.Response(status=429, headers={"Retry-After": f"{seconds:.0f}"})
        if len(names) > 50:
            return web.Response(status=413)
        self.calls.append(names)
        return web.json_response([{"name": name, "latitude": len(name), "longitude": -len(name)} for name in names])

    async def _page(self, request):
        number = int(request.match_info["number"])
        names = "".join(f"<li>place {n}</li>" for n in range(60 * number, 60 * number + 60))
        link = f'<a class="next" href="/pages/{number + 1}">more</a>' if number < 1 else ""
        return web.Response(text=f"<ul>{names}</ul>{link}", content_type="text/html")

    @asynccontextmanager
    async def running(self):
        """On a port of its own."""
        app = web.Application()
        app.add_routes([web.post("/places", self._look_up), web.get("/pages/{number}", self._page)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert runner.addresses
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()
