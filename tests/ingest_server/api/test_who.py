"""Who may ask: tokens on every route, tables, rates, administrators, and that no secret is left anywhere."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest_server.api.application import ROUTES
from ingest_server.api.who import OPEN_PATHS
from ingest_server.tokens.file import write_tokens
from tests.asking import Asker, until, wire_to
from tests.ingest_server.api.guarded import Named, guarded_server, section, token
from tests.ingest_server.api.problems import is_problem
from tests.running import RunningServer, running_server


@pytest.fixture(scope="module")
def guarded(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    sections = {
        "every": section("every"),
        "some": section("some", tables=["allowed", "shop.*"]),
        "none": section("none", tables=[]),
        "boss": section("boss", admin=True),
        "slow": section("slow", items_per_second=100),
        "thin": section("thin", bytes_per_second=1000),
    }
    with guarded_server(tmp_path_factory.mktemp("tokens"), shared_database, **sections) as server:
        yield server


def filled(path: str) -> str:
    return re.sub("{table}", "allowed", re.sub("{(id|crawl)}", "00000000-0000-4000-8000-000000000000", path))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (None, "this server wants a token"),
        ("Bearer unknown", "is not known here"),
        ("Bearer ", "is one header"),
        ("Bearer", "is one header"),
        ("Basic dXNlcjpwYXNzd29yZA==", "is one header"),
        (token("every"), "is one header"),
        (f"Bearer {token('every')} x", "is one header"),
        (f"Bearer {token('every')[:-1]}", "is not known here"),
        (f"Bearer {token('every').upper()}", "is not known here"),
    ],
)
def test_without_a_known_token_nothing_but_the_open_paths_answers(
    guarded: RunningServer, said: str | None, words: str
) -> None:
    headers = {} if said is None else {"Authorization": said}
    for route in ROUTES:
        answer = Asker(guarded.port).ask(route.method, filled(route.path), headers=headers)
        if route.path in OPEN_PATHS:
            assert answer.status == 200
            continue
        problem = is_problem(answer, 401, "unauthorized")
        assert words in problem["detail"]
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="ingest-server"'


def test_what_is_not_there_is_no_way_to_learn_of_paths(guarded: RunningServer) -> None:
    is_problem(Asker(guarded.port).get("/nowhere"), 401)
    is_problem(Asker(guarded.port).ask("DELETE", "/v1/tables"), 401)
    is_problem(Named(guarded.port, "every").get("/nowhere"), 404)


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
def test_the_scheme_may_be_written_in_any_case(guarded: RunningServer, scheme: str) -> None:
    assert Asker(guarded.port).get("/v1/batches", authorization=scheme + token("every")).status == 200


def test_two_tokens_in_one_request_are_none(guarded: RunningServer) -> None:
    with wire_to(guarded.port) as wire:
        one = f"Authorization: Bearer {token('every')}"
        wire.write("GET /v1/batches HTTP/1.1", "Host: 127.0.0.1", one, one, "")
        is_problem(wire.read(), 401)


def test_a_header_of_bytes_that_are_no_text_is_an_unknown_token(guarded: RunningServer) -> None:
    with wire_to(guarded.port) as wire:
        wire.write("GET /v1/batches HTTP/1.1", "Host: 127.0.0.1", b"Authorization: Bearer \xff\xfe\r\n", "")
        assert wire.read().status in (400, 401)


def test_a_refused_stranger_is_not_asked_for_the_body_and_the_connection_goes_on(guarded: RunningServer) -> None:
    with wire_to(guarded.port) as wire:
        wire.begin_batch("allowed", 3, "Expect: 100-continue")
        is_problem(wire.read(), 401)
    with wire_to(guarded.port) as wire:
        wire.begin_batch("allowed", 3)
        wire.write(b"{}\n")
        is_problem(wire.read(), 401)
        wire.write("GET /livez HTTP/1.1", "Host: 127.0.0.1", "")
        assert wire.read().status == 200


def test_a_probe_is_told_whether_and_not_why(guarded: RunningServer) -> None:
    assert Asker(guarded.port).get("/readyz").json == {"ready": True, "reasons": [], "warnings": []}
    assert Asker(guarded.port).get("/readyz", authorization="Bearer unknown").status == 200


def test_the_published_contract_says_that_a_token_is_wanted(guarded: RunningServer, asker: Asker) -> None:
    published = Asker(guarded.port).get("/openapi.json").json
    assert published["security"] == [{"token": []}]
    assert published["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for path, operations in published["paths"].items():
        for operation in operations.values():
            assert ("401" in operation["responses"]) == (path not in OPEN_PATHS) == ("security" not in operation)
    assert "security" not in asker.get("/openapi.json").json, "nothing is wanted by a server that is open"


def test_a_token_is_for_its_tables(guarded: RunningServer, shared_database: str) -> None:
    some = Named(guarded.port, "some")
    assert some.send("allowed", {"a": 1}, prefer="wait=30").status == 200
    for name in ("other", "public.other", "allowed2", "ingest.batches"):
        problem = is_problem(some.send(name, {"a": 1}), 403, "forbidden")
        assert problem["table"]
        assert "token of some is not for table" in problem["detail"]
    assert some.send("public.allowed", {"a": 1}, prefer="wait=30").status == 200
    assert some.send("shop.anything", {"a": 1}, prefer="wait=30").status == 200
    is_problem(Named(guarded.port, "none").send("allowed", {"a": 1}), 403)


def test_a_listing_holds_the_tables_of_the_token(guarded: RunningServer) -> None:
    every = Named(guarded.port, "every")
    for name in ("allowed", "hidden"):
        assert every.send(name, {"a": 1}, prefer="wait=30").status == 200
    names = {
        owner: {one["name"] for one in Named(guarded.port, owner).get("/v1/tables").json["tables"]}
        for owner in ("every", "some", "none")
    }
    assert names["every"] >= {"allowed", "hidden"}
    assert {"allowed"} <= names["some"] <= {"allowed", "shop.anything"}
    assert names["none"] == set()


def test_only_an_administrator_reads_metrics(guarded: RunningServer) -> None:
    problem = is_problem(Named(guarded.port, "every").get("/metrics"), 403, "forbidden")
    assert "admin = true" in problem["detail"]
    assert "ingest_tokens 6.0" in Named(guarded.port, "boss").get("/metrics").body.decode()


def test_only_an_administrator_lets_a_table_go_on(guarded: RunningServer) -> None:
    assert Named(guarded.port, "every").send("allowed", {"a": 1}, prefer="wait=30").status == 200
    is_problem(Named(guarded.port, "every").ask("POST", "/v1/tables/allowed/resume"), 403, "forbidden")
    assert Named(guarded.port, "boss").ask("POST", "/v1/tables/allowed/resume").status == 200


def test_more_items_a_second_than_the_rate_are_told_when_to_come_back(guarded: RunningServer) -> None:
    slow = Named(guarded.port, "slow")
    many = [{"a": number} for number in range(2000)]
    assert slow.send("rated", *many, prefer="wait=30").status == 200, "a batch above the rate goes through"
    answer = slow.send("rated", {"a": 1}, idempotency_key="late")
    problem = is_problem(answer, 429, "too-many-requests")
    assert 10 <= int(answer.headers["Retry-After"]) <= 25
    assert problem["retry_after"] == int(answer.headers["Retry-After"])
    assert slow.get("/v1/batches").status == 200, "asking is free"
    assert Named(guarded.port, "every").send("rated", {"a": 1}).status == 202, "and others are not held up"
    for _ in range(20):
        is_problem(slow.send("rated", {"a": 1}), 429)


def test_a_rate_in_bytes_counts_what_was_packed(guarded: RunningServer) -> None:
    import gzip

    thin = Named(guarded.port, "thin")
    body = gzip.compress(b'{"a": "' + b"x" * 30_000 + b'"}\n')
    assert len(body) < 500
    assert thin.send("rated", body=body, content_encoding="gzip", prefer="wait=30").status == 200
    answer = thin.send("rated", {"a": 1})
    is_problem(answer, 429)
    assert int(answer.headers["Retry-After"]) > 20


def test_what_comes_together_is_let_in_once(tmp_path: Path, shared_database: str, table: str) -> None:
    """Bodies that arrive at the same time do not all slip through the budget that was free when they began."""
    with guarded_server(tmp_path, shared_database, slow=section("slow", items_per_second=1)) as server:
        auth, body = f"Authorization: Bearer {token('slow')}", b'{"a": 1}\n' * 50
        with wire_to(server.port) as one, wire_to(server.port) as two, wire_to(server.port) as three:
            wires = (one, two, three)
            for wire in wires:
                wire.begin_batch(table, len(body), "Expect: 100-continue", auth, "Prefer: wait=30")
                assert wire.read().status == 100
            for wire in wires:
                wire.write(body)
            assert sorted(wire.read().status for wire in wires) == [200, 429, 429]


def test_a_batch_sent_again_pays_once(tmp_path: Path, shared_database: str, table: str) -> None:
    with guarded_server(tmp_path, shared_database, slow=section("slow", items_per_second=10)) as server:
        slow = Named(server.port, "slow")
        items = [{"a": number} for number in range(5)]
        statuses = [slow.send(table, *items, idempotency_key="again", prefer="wait=30").status for _ in range(30)]
        assert statuses == [200] * 30


def test_tokens_come_and_go_while_the_server_runs(tmp_path: Path, shared_database: str) -> None:
    path = tmp_path / "tokens.toml"
    with guarded_server(tmp_path, shared_database, a=section("a")) as server:
        a, b = Named(server.port, "a"), Named(server.port, "b")
        assert (a.get("/v1/batches").status, b.get("/v1/batches").status) == (200, 401)
        write_tokens(path, {"b": section("b")})
        until(lambda: b.get("/v1/batches").status == 200)
        is_problem(a.get("/v1/batches"), 401)
        write_tokens(path, {"a": section("a"), "b": section("b")})
        server.process.send_signal(signal.SIGHUP)
        until(lambda: a.get("/v1/batches").status == 200)
        path.write_text("nonsense")
        path.chmod(0o600)
        until(lambda: b.get("/readyz").json["warnings"] != [])
        assert "tokens" in b.get("/readyz").json["warnings"][0]
        assert Asker(server.port).get("/readyz").json["warnings"] == ["ask with a token to be told why"]
        assert a.get("/v1/batches").status == 200, "as it was"
        path.unlink()
        until(lambda: a.get("/v1/batches").status == 401)


def test_a_token_that_lost_a_table_writes_it_on_no_way(tmp_path: Path, shared_database: str, table: str) -> None:
    path = tmp_path / "tokens.toml"
    with guarded_server(tmp_path, shared_database, ann=section("ann")) as server:
        ann = Named(server.port, "ann")
        sent = ann.send(table, b"{broken\n", {"a": 1}, prefer="wait=30").json
        letter = sent["errors"][0]["dead_letter"]
        exported = ann.get("/v1/dead-letters", accept="application/x-ndjson").body
        write_tokens(path, {"ann": section("ann", tables=["other"])})
        until(lambda: ann.send(table, {"a": 1}).status == 403)
        json = {"Content-Type": "application/json"}
        mended = ann.ask("POST", f"/v1/dead-letters/{letter}/retry", b'{"item": {"a": 2}}', json)
        assert is_problem(mended, 403, "forbidden")["table"] == table
        group = ann.ask("POST", "/v1/dead-letters/retry", b'{"code": "invalid"}', json)
        assert "the token is not for this table" in group.body.decode()
        assert not group.json.get("batches")
        assert ann.ask("DELETE", f"/v1/dead-letters/{letter}").status in (200, 204)
        put_in = ann.ask("POST", "/v1/dead-letters", exported, {"Content-Type": "application/x-ndjson"})
        is_problem(put_in, 403, "forbidden")
        assert ann.get(f"/v1/batches/{sent['id']}").json["total"] == 2, "what it sent stays its own"


def test_the_first_token_shuts_a_server_that_was_open(tmp_path: Path, shared_database: str, table: str) -> None:
    path = tmp_path / "tokens.toml"
    with running_server("--database", shared_database, "--create-tables", "--tokens-file", str(path)) as server:
        anyone = Asker(server.port)
        assert anyone.send(table, {"a": 1}, authorization="Bearer whatever", prefer="wait=30").status == 200
        write_tokens(path, {"a": section("a")})
        until(lambda: anyone.get("/v1/batches").status == 401)
        assert Named(server.port, "a").get("/v1/batches").json["batches"] == [], "what was there before is nobody's"


def test_tokens_may_stand_in_the_settings_file(tmp_path: Path, shared_database: str) -> None:
    config = tmp_path / "ingest.toml"
    found = section("filed").hash[0]
    config.write_text(f'[tokens.filed]\nhash = "{found}"\ntables = ["x"]\nitems_per_second = 5\nadmin = true\n')
    arguments = ("--database", shared_database, "--config", str(config), "--tokens-file", str(tmp_path / "none.toml"))
    with running_server(*arguments) as server:
        assert Named(server.port, "filed").get("/metrics").status == 200
        is_problem(Asker(server.port).get("/metrics"), 401)


def test_no_secret_is_left_in_log_answers_or_metrics(tmp_path: Path, database: str) -> None:
    dsn = database.replace("?", "?password=do-not-show-me&", 1)
    with guarded_server(tmp_path, dsn, "--log-level", "debug", ann=section("ann", admin=True)) as server:
        ann, stranger = Named(server.port, "ann"), Asker(server.port)
        answers = [
            ann.send("shown", {"a": 1}, b"{broken\n", prefer="wait=30", ingest_crawl="c"),
            stranger.send("shown", {"a": 1}, authorization="Bearer ingest_secret-of-a-stranger"),
            stranger.get("/v1/batches", authorization="Basic ingest_secret-of-a-stranger"),
            ann.send("a.b.c", {"a": 1}),
            ann.send("shown", {"a": 1}, idempotency_key="x" * 300),
            *(ann.get(path) for path in ("/metrics", "/readyz", "/v1/batches", "/v1/tables", "/openapi.json", "/")),
        ]
        write_tokens(tmp_path / "tokens.toml", {"ann": section("ann", admin=True), "more": section("more")})
        server.process.send_signal(signal.SIGHUP)
        until(lambda: Named(server.port, "more").get("/v1/batches").status == 200)
        _, log = server.terminate()
    said = log + "".join(f"{answer.headers}{answer.body!r}" for answer in answers)
    assert "ingest_secret-of" not in said
    assert section("ann").hash[0] not in said
    assert "do-not-show-me" not in said.replace("INGEST_DATABASE", "")
    assert "every user of this machine can read it" in log, "but it stands in the command line, and that is told"
