"""HTTP itself, byte by byte: what is decided before a handler, or without reading a body."""

import socket

import pytest

from tests.asking import Asker, wire_to
from tests.ingest_server.api.problems import is_problem
from tests.make import ndjson

HOST = "Host: 127.0.0.1"
NDJSON = "Content-Type: application/x-ndjson"
POST = "POST /v1/tables/raw/batches HTTP/1.1"


@pytest.mark.parametrize(
    "lines",
    [
        ("GET /livez HTTP/1.1",),
        ("GET /livez HTTP/1.1", HOST, HOST),
        ("GET /" + "a" * 9000 + " HTTP/1.1", HOST),
        ("GET /livez HTTP/1.1", HOST, "X: " + "a" * 9000),
        ("GET /livez HTTP/1.1", HOST, *("X: a",) * 200),
        ("BREW /livez HTTP/1.1", HOST),
        ("\x16\x03\x01\x00hello",),
        (POST, HOST, NDJSON, "Content-Length: -1"),
        (POST, HOST, NDJSON, "Content-Length: 3a"),
        (POST, HOST, NDJSON, "Content-Length: 3", "Content-Length: 4"),
        (POST, HOST, NDJSON, "Content-Length: 3", "Transfer-Encoding: chunked"),
        (POST, HOST, NDJSON, NDJSON, "Content-Length: 3"),
        (POST, HOST, NDJSON, "Transfer-Encoding: identity"),
        (POST, HOST, NDJSON, "Content-Length : 3"),
        (POST, HOST, " " + NDJSON),
        ("POST /v1/tables/ü/batches HTTP/1.1", HOST, NDJSON),
    ],
    ids=lambda lines: lines[-1][:40],
)
def test_what_is_no_http_request_is_a_problem_and_the_end_of_the_connection(
    asker: Asker, lines: tuple[str, ...]
) -> None:
    with wire_to(asker.port) as wire:
        wire.write(*lines, "")
        is_problem(wire.read(), 400)
        assert wire.ended()


def test_another_transfer_encoding_is_not_taken_for_the_body(asker: Asker) -> None:
    with wire_to(asker.port) as wire:
        wire.write(POST, HOST, NDJSON, "Transfer-Encoding: gzip, chunked", "", "3", "abc", "0", "")
        is_problem(wire.read(), 501)
        assert wire.ended()


@pytest.mark.parametrize("at_once", [True, False])
def test_a_broken_chunk_is_one_problem_and_nothing_is_kept(asker: Asker, table: str, at_once: bool) -> None:
    with wire_to(asker.port) as wire:
        name = f"Idempotency-Key: {table}"
        head = (f"POST /v1/tables/{table}/batches HTTP/1.1", HOST, NDJSON, name, "Transfer-Encoding: chunked")
        if at_once:
            wire.write(*head, "", "3", "{}\n", "zz", "")
        else:
            wire.write(*head, "Expect: 100-continue", "")
            assert wire.read().status == 100
            wire.write("3", "{}\n", "zz", "")
        is_problem(wire.read(), 400)
        assert wire.ended()
    assert asker.send(table, {"a": 1}, idempotency_key=table).headers["Idempotency-Replayed"] is None


def test_a_chunked_body_is_taken(asker: Asker, table: str) -> None:
    pieces = iter([b'{"a"', b": 1}\n", b'{"a": 2}'])
    headers = {"Content-Type": "application/x-ndjson", "Prefer": "wait=30"}
    answer = asker.ask("POST", f"/v1/tables/{table}/batches", pieces, headers, encode_chunked=True)
    assert (answer.status, answer.json["inserted"]) == (200, 2)


EXPECT = "Expect: 100-continue"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((POST, "Content-Type: text/plain", "Content-Length: 3"), 415),
        ((POST, NDJSON, "Content-Encoding: br", "Content-Length: 3"), 415),
        ((POST, NDJSON, "Content-Length: 99999999"), 413),
        ((POST, NDJSON, "Idempotency-Key:", "Content-Length: 3"), 400),
        (("POST /v1/tables/ingest.batches/batches HTTP/1.1", NDJSON, "Content-Length: 3"), 404),
        (("POST /nowhere HTTP/1.1", NDJSON, "Content-Length: 3"), 404),
        (("PUT /livez HTTP/1.1", NDJSON, "Content-Length: 3"), 405),
        (("POST /v1/crawls/c/close HTTP/1.1", NDJSON, "Content-Length: 3"), 415),
        (("POST /v1/crawls/c/close HTTP/1.1", "Content-Type: application/json", "Content-Length: 99999"), 413),
    ],
)
def test_a_refusal_does_not_ask_for_the_body(asker: Asker, lines: tuple[str, ...], status: int) -> None:
    with wire_to(asker.port) as wire:
        wire.write(*lines, HOST, EXPECT, "")
        answer = wire.read()
        is_problem(answer, status)
        assert answer.headers["Connection"] == "close"  # whether the body comes all the same, nobody can tell


def test_a_body_that_is_wanted_is_asked_for_once(asker: Asker, table: str) -> None:
    body = ndjson({"a": 1})
    with wire_to(asker.port) as wire:
        for _ in range(2):
            wire.begin_batch(table, len(body), EXPECT, "Prefer: wait=30")
            assert wire.read().status == 100
            wire.write(body)
            assert wire.read().status == 200


def test_a_refusal_before_the_body_leaves_the_connection_in_order(asker: Asker) -> None:
    with wire_to(asker.port) as wire:
        smuggled = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        wire.write(POST, HOST, "Content-Type: text/plain", f"Content-Length: {len(smuggled)}", "", smuggled)
        is_problem(wire.read(), 415)
        wire.write("GET /livez HTTP/1.1", HOST, "")
        assert wire.read().json == {"status": "live"}


def test_a_body_that_ends_too_early_keeps_nothing(asker: Asker, table: str) -> None:
    with socket.create_connection(("127.0.0.1", asker.port)) as half:
        head = (
            f"POST /v1/tables/{table}/batches HTTP/1.1",
            HOST,
            NDJSON,
            f"Idempotency-Key: {table}",
            "Content-Length: 99",
        )
        half.sendall("\r\n".join([*head, "", ""]).encode() + b'{"a": 1}\n')
        half.shutdown(socket.SHUT_WR)
        half.settimeout(30)
        assert b" 200 " not in half.recv(4096)
    answer = asker.send(table, {"a": 2}, idempotency_key=table)
    while answer.status == 409:  # the server learns of it in its own time
        answer = asker.send(table, {"a": 2}, idempotency_key=table)
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (202, None)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "[", "::1", "0x7f.1", "", "localhost.evil.example"]
)
def test_a_foreign_host_is_refused(asker: Asker, host: str) -> None:
    is_problem(asker.ask("GET", "/v1/batches", headers={"Host": host}), 403, "forbidden")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:99", "app.localhost", "127.0.0.1:1", "127.1.2.3", "[::1]:8800"]
)
def test_a_host_on_loopback_is_served(asker: Asker, host: str) -> None:
    assert asker.ask("GET", "/livez", headers={"Host": host}).status == 200


def test_without_a_host_an_old_probe_is_served(asker: Asker) -> None:
    with wire_to(asker.port) as wire:
        wire.write("GET /livez HTTP/1.0", "")
        assert wire.read().status == 200


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/metrics", "/openapi.json", "/", "/v1/batches", "/v1/tables", "/v1/dead-letters"]
)
def test_head_is_get_without_a_body(asker: Asker, path: str) -> None:
    answer = asker.ask("HEAD", path, headers={"Accept": "application/x-ndjson"})
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 0


def test_what_is_not_there_and_what_cannot_be_done_are_problems(asker: Asker) -> None:
    is_problem(asker.get("/nowhere"), 404)
    is_problem(asker.ask("POST", "/v1/tables//batches"), 404)
    answer = asker.ask("DELETE", "/v1/batches")
    is_problem(answer, 405)
    assert sorted(answer.headers["Allow"].split(",")) == ["GET", "HEAD"]
    is_problem(asker.ask("OPTIONS", "/v1/tables/x/batches", headers={"Origin": "http://evil.example"}), 405)


def test_no_other_origin_may_read_an_answer(asker: Asker) -> None:
    answer = asker.get("/v1/batches", origin="http://evil.example")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
