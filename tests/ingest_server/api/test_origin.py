"""Web pages: a foreign Host, a foreign origin, forms, preflights, and what every answer says to browsers."""

from collections.abc import Iterator

import pytest

from ingest_server.api.application import ROUTES
from tests.asking import Asker
from tests.ingest_server.api.problems import is_problem
from tests.running import RunningServer, running_server

PAGE = "https://dashboard.example"
FORMS = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "text/plain;charset=UTF-8",
]


@pytest.fixture(scope="module")
def named(shared_database: str) -> Iterator[Asker]:
    """A server that lets one origin and one more host in."""
    more = ("--origins", f"{PAGE}, http://localhost:3000", "--hosts", "ingest.example,::ffff:10.0.0.1")
    with running_server("--database", shared_database, "--create-tables", *more) as server:
        yield Asker(server.port)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1.evil.example"]
)
def test_a_foreign_page_changes_nothing(asker: Asker, route, origin: str) -> None:
    path = route.path.replace("{id}", "00000000-0000-4000-8000-000000000000").replace("{crawl}", "c")
    answer = asker.ask(route.method, path.replace("{table}", "nowhere"), headers={"Origin": origin})
    if route.method == "GET":
        assert answer.status in (200, 404)
    else:
        is_problem(answer, 403, "forbidden")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("route", [route for route in ROUTES if route.body], ids=lambda route: route.path)
@pytest.mark.parametrize("media", FORMS)
def test_a_form_is_not_taken(asker: Asker, route, media: str) -> None:
    path = route.path.replace("{id}", "00000000-0000-4000-8000-000000000000").replace("{crawl}", "c")
    headers = {"Content-Type": media}
    is_problem(asker.ask(route.method, path.replace("{table}", "forms"), b'{"items": 1}', headers), 415)


def test_its_own_page_may_ask(asker: Asker, table: str) -> None:
    own = f"http://127.0.0.1:{asker.port}"
    assert asker.send(table, {"a": 1}, origin=own, prefer="wait=30").status == 200


def test_a_named_origin_may_ask_and_read(named: Asker, table: str) -> None:
    for origin in (PAGE, "http://localhost:3000", PAGE.upper()):
        answer = named.send(table, {"a": 1}, origin=origin, prefer="wait=30")
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Location" in answer.headers["Access-Control-Expose-Headers"]
        assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    refused = named.send("a.b.c", {"a": 1}, origin=PAGE)
    is_problem(refused, 400)
    assert refused.headers["Access-Control-Allow-Origin"] == PAGE, "a page may read why"
    exported = named.get("/v1/dead-letters", accept="application/x-ndjson", origin=PAGE)
    assert exported.headers["Access-Control-Allow-Origin"] == PAGE


@pytest.mark.parametrize("origin", ["https://other.example", "http://dashboard.example", f"{PAGE}:8443", "null"])
def test_no_other_origin_is_let_in_beside_it(named: Asker, table: str, origin: str) -> None:
    answer = named.send(table, {"a": 1}, origin=origin)
    is_problem(answer, 403)
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin", "a cache must not give one page's answer to another"
    preflight = named.ask("OPTIONS", f"/v1/tables/{table}/batches", headers=preflight_of(origin))
    is_problem(preflight, 405)
    assert "Access-Control-Allow-Origin" not in preflight.headers


def preflight_of(origin: str, **more: str) -> dict[str, str]:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    return {"Origin": origin} | asks | more


def test_a_preflight_is_answered_for_a_named_origin(named: Asker, table: str) -> None:
    answer = named.ask("OPTIONS", f"/v1/tables/{table}/batches", headers=preflight_of(PAGE))
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert {"POST", "DELETE"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    allowed = {one.lower() for one in answer.headers["Access-Control-Allow-Headers"].split(", ")}
    assert allowed >= {"authorization", "content-type", "content-encoding", "idempotency-key", "ingest-crawl", "prefer"}
    assert "Access-Control-Allow-Private-Network" not in answer.headers
    near = preflight_of(PAGE) | {"Access-Control-Request-Private-Network": "true"}
    answer = named.ask("OPTIONS", "/v1/batches", headers=near)
    assert answer.headers["Access-Control-Allow-Private-Network"] == "true"


def test_a_named_host_is_served_beside_loopback(named: Asker, asker: Asker) -> None:
    for host in ("ingest.example", "INGEST.example:8800", "127.0.0.1", "localhost:1", "[::ffff:10.0.0.1]:8800"):
        assert named.ask("GET", "/livez", headers={"Host": host}).status == 200, host
    for host in ("evil.example", "ingest.example.evil.example", "x.ingest.example"):
        is_problem(named.ask("GET", "/livez", headers={"Host": host}), 403, "forbidden")
    is_problem(asker.ask("GET", "/livez", headers={"Host": "ingest.example"}), 403)


def test_beyond_loopback_any_host_is_served(shared_database: str) -> None:
    open_to_all = ("--host", "0.0.0.0", "--allow-anonymous", "on")
    with running_server("--database", shared_database, *open_to_all) as server:
        asker = Asker(server.port)
        assert asker.ask("GET", "/livez", headers={"Host": "ingest.example"}).status == 200
        is_problem(asker.ask("POST", "/v1/crawls/c/close", headers={"Origin": PAGE}), 403)
        _, log = server.terminate()
    assert "whoever reaches 0.0.0.0 may write and read" in log


def test_what_every_answer_says_to_browsers(shared_server: RunningServer) -> None:
    asker = Asker(shared_server.port)
    for path in ("/", "/livez", "/v1/batches", "/nowhere", "/metrics"):
        headers = asker.get(path).headers
        assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store"), path
        assert headers["Server"] == "ingest-server", "no version"
    page = asker.get("/").headers
    assert "default-src 'none'" in page["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in page["Content-Security-Policy"]
    assert (page["X-Frame-Options"], page["Referrer-Policy"]) == ("DENY", "no-referrer")
