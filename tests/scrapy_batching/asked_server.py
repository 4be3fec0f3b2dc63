"""The fake server, with what BATCHING_START_CHECK asks for: its contract, its readiness, its tables and its tokens."""

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.scrapy_batching.fake_server import FakeServer, problem

PATHS = ("/v1/tables/{table}/batches", "/v1/batches/{id}", "/v1/crawls/{crawl}/close", "/readyz")


@dataclass
class Asked:
    """One question."""

    method: str
    path: str
    token: str


@dataclass
class Says:
    """How the server stands."""

    reasons: list[str] = field(default_factory=list)
    tables: set[str] | None = None
    """None: every table is there."""
    tokens: dict[str, set[str]] = field(default_factory=dict)
    """Token to the tables that it is for; none: nobody needs one."""
    paths: tuple[str, ...] = PATHS


class AskedServer(FakeServer):
    """`questions` are those that came, `says` is what they are answered."""

    def __init__(self, says: Says | None = None) -> None:
        super().__init__()
        self.says = says or Says()
        self.questions: list[Asked] = []

    def app(self) -> web.Application:
        app = super().app()
        app.middlewares.append(self._note)
        app.router.add_get("/openapi.json", self._contract)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/v1/tables", self._listing)
        return app

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        is_probe = request.path.endswith("/batches") and request.content_length == 0
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if is_probe or request.path in ("/openapi.json", "/readyz", "/v1/tables"):
            self.questions.append(Asked(request.method, request.path, token))
        if request.path.startswith("/v1/") and self.says.tokens and token not in self.says.tokens:
            return problem(401, "who are you", "no such token")
        if is_probe:
            return self._of_table(request.match_info["table"], token)
        answer: web.StreamResponse = await handler(request)
        return answer

    def _of_table(self, table: str, token: str) -> web.Response:
        if self.says.tokens and table not in self.says.tokens[token]:
            return problem(403, "not yours")
        if self.says.tables is not None and table not in self.says.tables:
            return problem(404, "no such table")
        if self.says.reasons:
            return problem(503, "full", retry_after="1")
        return problem(422, "there is no item")

    async def _contract(self, _request: web.Request) -> web.Response:
        return web.json_response({"openapi": "3.1.0", "paths": {path: {} for path in self.says.paths}})

    async def _ready(self, _request: web.Request) -> web.Response:
        reasons = self.says.reasons
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    async def _listing(self, _request: web.Request) -> web.Response:
        return web.json_response({"tables": []})
