"""Owners: nobody sees what another one sent, on any route, and names are each owner's own."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from ingest_server.api.application import ROUTES
from tests.asking import Answer, Asker, locked
from tests.ingest_server.api.guarded import Named, guarded_server, section
from tests.ingest_server.api.problems import is_problem
from tests.running import RunningServer


@pytest.fixture(scope="module")
def guarded(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    owners = {"ann": section("ann"), "bob": section("bob"), "eve": section("eve"), "boss": section("boss", admin=True)}
    with guarded_server(tmp_path_factory.mktemp("tokens"), shared_database, **owners) as server:
        yield server


@dataclass(frozen=True)
class World:
    """What Ann sent: a batch with a dead letter in it, in a crawl that is closed."""

    ann: Named
    table: str
    crawl: str
    batch: str
    letter: str


@pytest.fixture
def world(guarded: RunningServer, table: str) -> World:
    ann = Named(guarded.port, "ann")
    crawl = f"crawl-of-{table}"
    answer = ann.send(table, {"a": 1}, b"{broken\n", ingest_crawl=crawl, idempotency_key=table, prefer="wait=30")
    assert answer.status == 207, answer.body
    assert ann.close_crawl(crawl, 2).status == 200
    return World(ann, table, crawl, answer.json["id"], answer.json["errors"][0]["dead_letter"])


def empty(answer: Answer, member: str) -> bool:
    return answer.status == 200 and answer.json[member] == []


def cursor(world: World, path: str) -> str:
    """Where Ann's own first page ends."""
    world.ann.send(world.table, {"a": 2}, b"{broken too\n", prefer="wait=30")
    found: str = world.ann.get(f"{path}?limit=1").json["cursor"]
    return found


def post(asker: Asker, path: str, body: object, media: str = "application/json") -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return asker.ask("POST", path, text, {"Content-Type": media, "Prefer": "wait=30"})


def sends_the_same_name(other: Named, world: World) -> bool:
    mine = other.send(world.table, {"another": "body"}, idempotency_key=world.table, prefer="wait=30")
    return mine.status == 200 and mine.headers["Idempotency-Replayed"] is None and mine.json["id"] != world.batch


def sends_the_same_id(other: Named, world: World) -> bool:
    mine = other.send(world.table, {"b": 1}, idempotency_key=world.batch, prefer="wait=30", ingest_crawl=world.crawl)
    return mine.status == 200 and mine.json["id"] == world.batch and mine.json["total"] == 1


def closes_a_crawl_of_the_same_name(other: Named, world: World) -> bool:
    closed = other.close_crawl(world.crawl, 5)
    assert world.ann.get(f"/v1/crawls/{world.crawl}").json["expected"] == 2
    return closed.status == 200 and (closed.json["total"], closed.json["expected"]) == (0, 5)


def exports_nothing(other: Named, world: World) -> bool:
    return other.get("/v1/dead-letters", accept="application/x-ndjson").body == b""


def imports_into_its_own(other: Named, world: World) -> bool:
    exported = world.ann.get(f"/v1/dead-letters?table={world.table}", accept="application/x-ndjson").body.decode()
    answer = post(other, "/v1/dead-letters", exported, "application/x-ndjson")
    assert world.ann.get(f"/v1/dead-letters/{world.letter}").status == 200
    return answer.status < 300


def is_not_found(method: str, path: str) -> Callable[[Named, World], bool]:
    def check(other: Named, world: World) -> bool:
        where = path.format(table=world.table, crawl=world.crawl, id=world.batch if "batches" in path else world.letter)
        is_problem(other.ask(method, where, "{}", {"Content-Type": "application/json"}), 404, "not-found")
        return True

    return check


def says_nothing_of_it(path: str) -> Callable[[Named, World], bool]:
    def check(other: Named, world: World) -> bool:
        text = other.get(path).body.decode()
        return world.batch not in text and world.letter not in text and world.crawl not in text

    return check


def counts_nothing_of_it(other: Named, world: World) -> bool:
    def counted(asker: Named) -> dict[str, int]:
        (one,) = [one for one in asker.get("/v1/tables").json["tables"] if one["name"] == world.table]
        return one["counts"]

    assert counted(world.ann)["failed"] == 1
    return not any(counted(other).values())


# What others meet on each route when they ask for what is Ann's. A new route needs a line here.
CHECKS: dict[tuple[str, str], tuple[Callable[[Named, World], bool], ...]] = {
    ("POST", "/v1/tables/{table}/batches"): (sends_the_same_name, sends_the_same_id),
    ("GET", "/v1/batches/{id}"): (is_not_found("GET", "/v1/batches/{id}"),),
    ("GET", "/v1/batches"): (
        lambda other, world: empty(other.get("/v1/batches"), "batches"),
        lambda other, world: empty(other.get(f"/v1/batches?crawl={world.crawl}"), "batches"),
        lambda other, world: empty(other.get(f"/v1/batches?cursor={cursor(world, '/v1/batches')}"), "batches"),
    ),
    ("GET", "/v1/crawls/{crawl}"): (is_not_found("GET", "/v1/crawls/{crawl}"),),
    ("POST", "/v1/crawls/{crawl}/close"): (closes_a_crawl_of_the_same_name,),
    ("GET", "/v1/dead-letters"): (
        lambda other, world: empty(other.get("/v1/dead-letters"), "dead_letters"),
        lambda other, world: empty(other.get(f"/v1/dead-letters?table={world.table}"), "dead_letters"),
        lambda other, world: empty(
            other.get(f"/v1/dead-letters?cursor={cursor(world, '/v1/dead-letters')}"), "dead_letters"
        ),
        exports_nothing,
    ),
    ("GET", "/v1/dead-letters/groups"): (lambda other, world: empty(other.get("/v1/dead-letters/groups"), "groups"),),
    ("GET", "/v1/dead-letters/{id}"): (is_not_found("GET", "/v1/dead-letters/{id}"),),
    ("DELETE", "/v1/dead-letters/{id}"): (is_not_found("DELETE", "/v1/dead-letters/{id}"),),
    ("POST", "/v1/dead-letters"): (imports_into_its_own,),
    ("POST", "/v1/dead-letters/{id}/retry"): (is_not_found("POST", "/v1/dead-letters/{id}/retry"),),
    ("POST", "/v1/dead-letters/retry"): (
        lambda other, world: (
            world.batch not in post(other, "/v1/dead-letters/retry", {"table": world.table}).body.decode()
        ),
    ),
    ("GET", "/v1/tables"): (says_nothing_of_it("/v1/tables"), counts_nothing_of_it),
    ("POST", "/v1/tables/{table}/resume"): (
        lambda other, world: other.ask("POST", f"/v1/tables/{world.table}/resume").status == 403,
    ),
    ("GET", "/livez"): (says_nothing_of_it("/livez"),),
    ("GET", "/readyz"): (says_nothing_of_it("/readyz"),),
    ("GET", "/metrics"): (lambda other, world: other.get("/metrics").status == 403,),
    ("GET", "/openapi.json"): (says_nothing_of_it("/openapi.json"),),
    ("GET", "/"): (says_nothing_of_it("/"),),
}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_nobody_sees_what_another_owner_sent(guarded: RunningServer, world: World, route) -> None:
    # Eve never sent anything: what she meets in a list is another's
    other = Named(guarded.port, "eve" if route.method in ("GET", "DELETE") else "bob")
    for check in CHECKS[route.method, route.path]:
        assert check(other, world)
    assert world.ann.get(f"/v1/batches/{world.batch}").json["total"] == 2, "and Ann's is as it was"
    assert world.ann.get(f"/v1/dead-letters/{world.letter}").status == 200


def test_an_administrator_is_an_owner_like_any_other(guarded: RunningServer, world: World) -> None:
    boss = Named(guarded.port, "boss")
    for path in (f"/v1/batches/{world.batch}", f"/v1/crawls/{world.crawl}", f"/v1/dead-letters/{world.letter}"):
        is_problem(boss.get(path), 404, "not-found")
    assert boss.get("/metrics").status == 200


def test_a_batch_on_its_way_is_hidden_too(guarded: RunningServer, table: str) -> None:
    ann, bob = Named(guarded.port, "ann"), Named(guarded.port, "bob")
    name = str(uuid4())
    sent = ann.send(table, *({"a": number} for number in range(2000)), idempotency_key=name, ingest_crawl=table)
    assert sent.status == 202
    is_problem(bob.get(sent.headers["Location"]), 404)
    assert bob.get(f"/v1/batches?crawl={table}").json["batches"] == []
    assert ann.settled(name)["succeeded"] == 2000


def test_the_owner_is_the_name_whatever_its_token_is(tmp_path: Path, shared_database: str, table: str) -> None:
    two = section("old", "new")
    with guarded_server(tmp_path, shared_database, ann=two) as server:
        old, new = Named(server.port, "old"), Named(server.port, "new")
        batch = old.send(table, {"a": 1}, idempotency_key=table, prefer="wait=30").json
        again = new.send(table, {"a": 1}, idempotency_key=table, prefer="wait=30")
        assert (again.status, again.headers["Idempotency-Replayed"]) == (200, "true")
        assert new.get(f"/v1/batches/{batch['id']}").json == batch


async def test_what_a_killed_server_had_journaled_is_still_its_owners(
    tmp_path: Path, database: str, sql: asyncpg.Connection
) -> None:
    """Two batches of one UUID, each its owner's, at the same time in queue and journal."""
    await sql.execute("CREATE TABLE kept (a int)")
    owners, name = {"ann": section("ann"), "bob": section("bob")}, str(uuid4())
    journal = ("--journal-dir", str(tmp_path / "journal"))

    async def ask(asker: Named, path: str) -> Answer:
        return await asyncio.to_thread(asker.get, path)

    with guarded_server(tmp_path, database, *journal, **owners) as server:
        ann, bob = Named(server.port, "ann"), Named(server.port, "bob")
        async with locked(sql, "kept"):
            for asker, items in ((ann, [{"a": 1}]), (bob, [{"a": 2}, {"a": 3}])):
                sent = await asyncio.to_thread(asker.send, "kept", *items, ingest_crawl="c", idempotency_key=name)
                assert (sent.status, sent.json["ack"], sent.json["id"]) == (202, "journaled", name)
            assert (await ask(ann, f"/v1/batches/{name}")).json["total"] == 1
            assert (await ask(bob, "/v1/crawls/c")).json["pending"] == 2
            server.kill()
    with guarded_server(tmp_path, database, *journal, **owners) as again:
        for owner, count in (("ann", 1), ("bob", 2)):
            asker = Named(again.port, owner)
            assert (await asyncio.to_thread(asker.settled, name))["succeeded"] == count
            assert (await ask(asker, "/v1/crawls/c")).json["processed"] == count
    assert await sql.fetchval("SELECT count(*) FROM kept") == 3
