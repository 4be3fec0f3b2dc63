"""One batch over HTTP: what is taken in, and what each header and body is answered with."""

import gzip
import http.client
import json
import zlib

import pytest
from backports import zstd

from tests.asking import Asker
from tests.ingest_server.api.problems import is_problem
from tests.make import ndjson

JSON = "application/json"


def test_a_batch_is_accepted_and_can_be_looked_at(asker: Asker, table: str) -> None:
    answer = asker.send(table, {"a": 1}, {"a": 2})
    assert answer.status == 202
    batch = answer.json
    assert answer.headers["Location"] == f"/v1/batches/{batch['id']}"
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["Idempotency-Replayed"] is None
    assert batch["status"] in ("queued", "processing")
    assert (batch["ack"], batch["total"], batch["processed"]) == ("journaled", 2, 0)
    settled = asker.settled(batch["id"])
    assert settled == batch | {
        "status": "completed",
        "ack": "committed",
        "processed": 2,
        "succeeded": 2,
        "inserted": 2,
        "updated_at": settled["completed_at"],
        "completed_at": settled["completed_at"],
    }


def test_a_body_may_be_an_array(asker: Asker, table: str) -> None:
    answer = asker.send(table, body=b'[{"a": 1}, {"a": 2}]', content_type=JSON, prefer="wait=30")
    assert (answer.status, answer.json["inserted"]) == (200, 2)


def test_a_body_may_be_an_object_with_items(asker: Asker, table: str) -> None:
    body = b'\xef\xbb\xbf {"items": [{"a": 1}, {"a": 2}, {"a": 3}]}'
    answer = asker.send(table, body=body, content_type="Application/JSON; charset=UTF-8", prefer="wait=30")
    assert (answer.status, answer.json["inserted"]) == (200, 3)


@pytest.mark.parametrize(
    "body",
    [
        b'{"items": [{}], "more": 1}',
        b'{"item": [{}]}',
        b'{"items": {}}',
        b"[{}",
        b"[{}] {}",
        b"[NaN]",
        b"12",
        b"",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        '[{"a": "ü"}]'.encode("utf-16"),
    ],
)
def test_a_json_body_that_cannot_be_parsed_is_400(asker: Asker, table: str, body: bytes) -> None:
    is_problem(asker.send(table, body=body, content_type=JSON), 400, "bad-request")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/x-ndjson"),
        (b"\xef\xbb\xbf\r\n \t\n", "application/x-ndjson"),
        (b"[]", JSON),
        (b'{"items":[]}', JSON),
    ],
)
def test_a_body_without_an_item_is_422(asker: Asker, table: str, body: bytes, content_type: str) -> None:
    is_problem(asker.send(table, body=body, content_type=content_type), 422, "unprocessable")


def test_blank_lines_and_line_ends_are_not_items(asker: Asker, table: str) -> None:
    body = b'\xef\xbb\xbf\n{"a": 1}\r\n\r\n   \n\t{"a": 2} \n{"a": 3}'
    assert asker.send(table, body=body, prefer="wait=30").json["inserted"] == 3


BROKEN = [
    b"{",
    b"[]",
    b"1",
    b"null",
    b'{"a": NaN}',
    b'{"a": "\xff"}',
    b'{"a":1}{"b":2}',
    b"[" * 100_000,
    b'{"a":' * 101 + b"1" + b"}" * 101,
]


async def test_a_broken_line_is_its_own_fault(asker: Asker, table: str, shared_sql) -> None:
    lines = [line for broken in BROKEN for line in (b'{"good": true}', broken)]
    answer = asker.send(table, *lines, prefer="wait=30")
    assert answer.status == 207
    batch = answer.json
    assert (batch["status"], batch["succeeded"], batch["failed"]) == ("completed", len(BROKEN), len(BROKEN))
    assert [error["index"] for error in batch["errors"]] == list(range(1, 2 * len(BROKEN), 2))
    assert {error["code"] for error in batch["errors"]} == {"invalid"}
    assert await shared_sql.fetchval(f"SELECT count(*) FROM {table}") == len(BROKEN)


def test_an_element_that_is_no_object_is_its_own_fault(asker: Asker, table: str) -> None:
    answer = asker.send(table, body=b'[{"a": 1}, 2, [], "x", null]', content_type=JSON, prefer="wait=30")
    assert (answer.status, answer.json["inserted"], answer.json["failed"]) == (207, 1, 4)


def test_a_batch_of_which_every_item_was_refused_has_failed(asker: Asker, table: str) -> None:
    answer = asker.send(table, b"1", b"2", prefer="wait=30")
    assert (answer.status, answer.json["status"], answer.json["processed"]) == (207, "failed", 2)


def test_only_the_first_hundred_errors_are_shown(asker: Asker, table: str) -> None:
    answer = asker.send(table, *[b"1"] * 150, prefer="wait=30")
    assert answer.json["failed"] == 150
    assert [error["index"] for error in answer.json["errors"]] == list(range(100))
    assert len(asker.settled(answer.json["id"])["errors"]) == 100


async def test_of_a_repeated_member_the_last_one_counts(asker: Asker, table: str, shared_sql) -> None:
    await shared_sql.execute(f"CREATE TABLE {table} (a int)")
    assert asker.send(table, b'{"a": 1, "a": 2}', prefer="wait=30").status == 200
    assert await shared_sql.fetchval(f"SELECT a FROM {table}") == 2


ENCODINGS = {
    "identity": bytes,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Zstd": zstd.compress,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_body_may_be_encoded(asker: Asker, table: str, encoding: str) -> None:
    body = ENCODINGS[encoding](ndjson(*[{"number": number, "text": "x" * 50} for number in range(1000)]))
    answer = asker.send(table, body=body, content_encoding=encoding, prefer="wait=30")
    assert (answer.status, answer.json["inserted"]) == (200, 1000)


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "gzip,identity", "nonsense"])
def test_another_encoding_is_415(asker: Asker, table: str, encoding: str) -> None:
    is_problem(asker.send(table, {}, content_encoding=encoding), 415, "unsupported-media-type")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("cut", ["short", "wrong", "nothing"])
def test_a_body_that_is_not_what_its_encoding_says_is_400(asker: Asker, table: str, encoding: str, cut: str) -> None:
    whole = ENCODINGS["Zstd" if encoding == "zstd" else encoding](ndjson({"a": "x" * 100}))
    body = {"short": whole[:-5], "wrong": b"\x07 this is none of them", "nothing": b""}[cut]
    is_problem(asker.send(table, body=body, content_encoding=encoding), 400, "bad-request")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json; charset=latin1", ""],
)
def test_another_media_type_is_415(asker: Asker, table: str, content_type: str) -> None:
    is_problem(asker.send(table, {}, content_type=content_type), 415, "unsupported-media-type")


def test_parameters_of_the_media_type_do_not_matter(asker: Asker, table: str) -> None:
    assert asker.send(table, {}, content_type='application/x-ndjson; charset="utf-8"; version=1').status == 202


@pytest.mark.parametrize("header", ["idempotency_key", "ingest_crawl"])
@pytest.mark.parametrize("value", ["", '""', "x" * 256, "a b", "tab\there", "\xfc"])
def test_a_name_that_is_not_visible_ascii_is_400(asker: Asker, table: str, header: str, value: str) -> None:
    if header == "ingest_crawl" and value == '""':
        value = " "
    is_problem(asker.send(table, {}, **{header: value}), 400, "bad-request")


@pytest.mark.parametrize("header", ["Idempotency-Key", "Ingest-Crawl"])
def test_a_header_that_stands_twice_is_400(asker: Asker, table: str, header: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", asker.port, timeout=30)
    connection.putrequest("POST", f"/v1/tables/{table}/batches")
    for name, value in [
        ("Content-Type", "application/x-ndjson"),
        ("Content-Length", "2"),
        (header, "a"),
        (header, "b"),
    ]:
        connection.putheader(name, value)
    connection.endheaders(b"{}")
    response = connection.getresponse()
    assert response.status == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    connection.close()


def test_a_uuid_in_lower_case_is_the_batchs_id(asker: Asker, table: str) -> None:
    name = "0190a7e4-1111-7222-8333-444455556666"
    assert asker.send(table, {}, idempotency_key=f'"{name}"').json["id"] == name
    assert asker.send(table, {}, idempotency_key=name.upper().replace("A", "B")).json["id"] != name


SECRET = "do-not-show-me"


async def test_no_answer_holds_the_content_of_an_item(asker: Asker, table: str, shared_sql) -> None:
    await shared_sql.execute(
        f"CREATE TABLE {table} (id int PRIMARY KEY, name varchar(5), n int CHECK (n < 10), u text UNIQUE)"
    )
    items = [
        {"id": SECRET},
        {"id": 1, "name": SECRET},
        {"id": 2, SECRET: 1},
        {"id": 3, "n": 11, "u": SECRET},
        {"id": 4, "u": SECRET},
        {"id": 5, "u": SECRET},
        f'{{"id": {SECRET}}}'.encode(),
    ]
    answer = asker.send(table, *items, prefer="wait=30")
    assert answer.status == 207
    assert answer.json["failed"] == 6
    unknown = next(error for error in answer.json["errors"] if error["index"] == 2)
    assert unknown.pop("column") == SECRET  # a field's name is no content
    shown = json.dumps([error | {"column": None} for error in answer.json["errors"]])
    assert SECRET not in shown
    strict = asker.send(table, {"id": SECRET}, prefer="handling=strict")
    assert strict.status == 422
    assert SECRET.encode() not in strict.body
    assert SECRET.encode() not in asker.send(table, body=f"[{SECRET}".encode(), content_type=JSON).body
