"""Clients that mean harm: each attack small and fast. `python -m loadtests hostile` has them large and all at once."""

import contextlib
import gzip
import socket
import time
import zlib
from collections.abc import Iterator

import psutil
import pytest
from backports import zstd

from ingest_server.postgres.embedded.embedded import EmbeddedPostgres
from tests.asking import SECONDS, Asker, Wire, wire_to
from tests.ingest_server.api.problems import is_problem
from tests.make import ndjson
from tests.running import RunningServer, running_server

MIB = 2**20
HOST = "Host: 127.0.0.1"
GET = "GET /livez HTTP/1.1"
BOUNDS = ("--head-timeout", "0.5", "--idle-timeout", "1", "--max-connections", "100")


@pytest.fixture(scope="module")
def strict_server(shared_database: str) -> Iterator[RunningServer]:
    """With little patience, little memory and room for 100 connections."""
    sizes = ("--queue-bytes", str(8 * MIB), "--max-batch-bytes", str(32 * MIB), "--receive-timeout", "20")
    with running_server("--database", shared_database, "--create-tables", *BOUNDS, *sizes) as running:
        yield running


@pytest.fixture
def strict(strict_server: RunningServer) -> Asker:
    return Asker(strict_server.port)


def connections_cut(asker: Asker, reason: str) -> float:
    wanted = f'ingest_connections_cut_total{{reason="{reason}"}} '
    lines = asker.get("/metrics").body.decode().splitlines()
    return next((float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted)), 0.0)


def ends_within(wire: Wire, seconds: float) -> bool:
    began = time.monotonic()
    return wire.ended() and time.monotonic() - began < seconds


def test_a_head_that_does_not_arrive_is_408_and_the_end(strict: Asker) -> None:
    before = connections_cut(strict, "head")
    with wire_to(strict.port) as wire:
        wire.write(GET, "X-Slow: a")
        is_problem(wire.read(), 408)
        assert wire.ended()
    with wire_to(strict.port) as silent:
        assert ends_within(silent, 10)
    assert connections_cut(strict, "head") == before + 2


def test_a_head_that_comes_byte_by_byte_has_no_more_time(strict: Asker) -> None:
    with wire_to(strict.port) as wire:
        began = time.monotonic()
        wire.write(GET)
        with contextlib.suppress(OSError):
            while time.monotonic() - began < SECONDS:
                wire.write(b"x")
                wire._socket.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    if wire._socket.recv(1, socket.MSG_PEEK) is not None:
                        break
        assert time.monotonic() - began < 10
        wire._socket.settimeout(SECONDS)
        is_problem(wire.read(), 408)


def test_a_head_without_end_is_431_and_the_end(asker: Asker) -> None:
    began = time.monotonic()
    with wire_to(asker.port) as wire:
        wire.write(GET, HOST, *(f"X-{number}: " + "a" * 8000 for number in range(12)))
        is_problem(wire.read(), 431)
        assert wire.ended()
    assert time.monotonic() - began < 8, "its size was too much, before its time was over"


def test_a_head_without_end_behind_a_request_that_is_worked_on_ends_the_connection(strict: Asker) -> None:
    with wire_to(strict.port) as wire:
        wire.write("GET /v1/crawls/x HTTP/1.1", HOST, "")
        wire.write(GET, HOST, *(f"X-{number}: " + "a" * 8000 for number in range(12)))
        with contextlib.suppress(ConnectionResetError, AssertionError):
            while wire.read():
                pass
        assert wire.ended()


def test_an_idle_connection_is_ended_and_one_that_asks_again_is_not(strict: Asker) -> None:
    before = connections_cut(strict, "idle")
    with wire_to(strict.port) as idle, wire_to(strict.port) as busy:
        for wire in (idle, busy):
            wire.write(GET, HOST, "")
            assert wire.read().status == 200
        ends = time.monotonic() + 2
        while time.monotonic() < ends:
            busy.write(GET, HOST, "")
            assert busy.read().status == 200
        assert ends_within(idle, 10)
    assert connections_cut(strict, "idle") > before


def test_past_the_most_connections_the_one_that_idles_longest_makes_room(strict: Asker) -> None:
    before = connections_cut(strict, "full")
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(wire_to(strict.port))
        first.write(GET, HOST, "")
        assert first.read().status == 200
        others = [stack.enter_context(wire_to(strict.port)) for _ in range(130)]
        assert strict.get("/livez").status == 200
        assert ends_within(first, 10)
        assert len(others) == 130
    assert connections_cut(strict, "full") > before


def test_where_every_connection_is_at_work_a_new_one_is_503(strict: Asker) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(100):
            wire = stack.enter_context(wire_to(strict.port))
            wire.begin_batch("full", 10, "Expect: 100-continue", f"Idempotency-Key: {number}")
            assert wire.read().status == 100
        answer = Asker(strict.port).get("/livez")
        is_problem(answer, 503)
        assert answer.headers["Retry-After"] == "5"


def test_a_body_without_end_is_413_and_then_cut(asker: Asker) -> None:
    with wire_to(asker.port) as wire:
        wire.write(
            *("POST /v1/tables/endless/batches HTTP/1.1", HOST, "Content-Type: application/x-ndjson"),
            *("Transfer-Encoding: chunked", ""),
        )
        piece = b"10000\r\n" + b"{}      " * 8192 + b"\r\n"
        with pytest.raises(OSError, match=r"(?i)reset|broken|abort"):
            wire.write(*[piece] * 2000)
    assert asker.get("/livez").status == 200


def test_answers_that_nobody_reads_end_the_connection(strict: Asker) -> None:
    before = connections_cut(strict, "unread")
    with wire_to(strict.port) as wire, contextlib.suppress(OSError):
        wire._socket.settimeout(10)
        for _ in range(100_000):
            wire.write("GET /openapi.json HTTP/1.1", HOST, "")
    assert connections_cut(strict, "unread") == before + 1


def test_of_requests_sent_ahead_few_are_taken_up_and_all_are_answered(asker: Asker, table: str) -> None:
    body = ndjson({"a": "x" * 50_000})
    head = f"POST /v1/tables/{table}/batches HTTP/1.1\r\n{HOST}\r\nContent-Type: application/x-ndjson\r\n"
    one = f"{head}Content-Length: {len(body)}\r\nPrefer: wait=20\r\n\r\n".encode() + body
    with wire_to(asker.port) as wire:
        wire.write(one * 30)
        assert [wire.read().status for _ in range(30)] == [200] * 30


def test_slow_bodies_are_cut_for_one_that_is_fast(strict_server: RunningServer, strict: Asker, table: str) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(wire_to(strict.port)) for _ in range(20)]
        for number, wire in enumerate(slow):
            wire.begin_batch(table, 5 * MIB, f"Idempotency-Key: slow-{number}")
            wire.write(b"\n" * 390_000)
        began = time.monotonic()
        body = ndjson({"a": "x" * 3 * MIB})
        status = 503
        while status == 503 and time.monotonic() - began < 15:
            with contextlib.suppress(
                ConnectionError
            ):  # it does not wait as it is told: at times all connections are at work
                status = strict.send(table, body=body, prefer="wait=20").status
        assert status == 200
        assert 0.5 < time.monotonic() - began < 15, "whoever has just begun gets a second"
        for wire in slow:
            wire._socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                is_problem(wire.read(), 503, "unavailable")
                return
        raise AssertionError("nobody had to go")


def bomb(name: str) -> tuple[bytes, str]:
    """A body, packed, that would be 192 MiB; and its encoding."""
    if name == "zstd":
        packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 23})
        return b"".join(packer.compress(bytes(MIB)) for _ in range(192)) + packer.flush(), "zstd"
    gzipper = zlib.compressobj(9, wbits=31)
    return b"".join(gzipper.compress(bytes(MIB)) for _ in range(192)) + gzipper.flush(), "gzip"


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_bombs_are_413_and_memory_stays(shared_server: RunningServer, asker: Asker, table: str, name: str) -> None:
    body, encoding = bomb(name)
    process = psutil.Process(shared_server.process.pid)
    for _ in range(3):
        answer = asker.send(table, body=body, content_encoding=encoding)
        problem = is_problem(answer, 413, "too-large")
        assert problem["limit_unit"] == "decoded_bytes"
    assert process.memory_info().rss < 400 * MIB


def test_a_gzip_of_many_members_is_400(asker: Asker, table: str) -> None:
    member = gzip.compress(b"", mtime=0)
    answer = asker.send(table, body=member * 200_000, content_encoding="gzip")
    assert "members" in is_problem(answer, 400)["detail"]
    answer = asker.send(table, body=gzip.compress(b'{"a":1}\n') * 100, content_encoding="gzip", prefer="wait=20")
    assert (answer.status, answer.json["inserted"]) == (200, 100)


@pytest.mark.parametrize(
    ("body", "unit"),
    [
        (b'{"a":[' + b"0," * 10_000_000 + b"0]}", "item_bytes"),
        (b'{"a":[' + b"0," * 3_000_000 + b"0]}", "item_values"),
        (b"\n".join([b'{"a":[' + b"0," * 400_000 + b"0]}"] * 6), "batch_values"),
        (b'{"a":"' + b"x" * (64 * MIB - 8) + b'"}', "item_bytes"),
        (b"{}\n" * 20_000_000, "items"),
    ],
    ids=["ten million numbers", "three million numbers", "many numbers", "one line of 64 MiB", "twenty million items"],
)
def test_what_would_not_fit_into_memory_is_413(asker: Asker, table: str, body: bytes, unit: str) -> None:
    answer = asker.send(table, body=gzip.compress(body, 1), content_encoding="gzip")
    assert is_problem(answer, 413, "too-large")["limit_unit"] == unit


def test_blank_lines_are_no_items(asker: Asker, table: str) -> None:
    answer = asker.send(table, body=gzip.compress(b"\n" * 60 * MIB, 1), content_encoding="gzip")
    is_problem(answer, 422, "unprocessable")


def test_deep_items_are_their_own_fault_and_neighbours_are_stored(asker: Asker, table: str) -> None:
    deep = b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    body = b"\n".join([b'{"a":1}', b"[" * 100_000, deep, b'{"a":' * 100_000, b'{"a":2}'])
    answer = asker.send(table, body=body, prefer="wait=20")
    assert (answer.status, answer.json["inserted"], answer.json["failed"]) == (207, 2, 3)
    is_problem(asker.send(table, body=b"[" * 100_000, content_type="application/json"), 400)


async def test_half_a_million_wrong_values_are_one_refusal(
    shared_server: RunningServer, asker: Asker, table: str, shared_sql
) -> None:
    await shared_sql.execute(f"CREATE TABLE {table} (numbers float8[])")
    wrong = b'{"numbers":[' + b'"x",' * 490_000 + b'"x"]}'
    answer = asker.send(table, body=b"\n".join([wrong, b'{"numbers":[1]}']), prefer="wait=30")
    assert (answer.status, answer.json["inserted"], len(answer.json["errors"])) == (207, 1, 1)
    assert psutil.Process(shared_server.process.pid).memory_info().rss < 400 * MIB


def test_a_probe_is_answered_the_same_the_second_time(asker: Asker) -> None:
    def lines(*more: str) -> list[bytes]:
        with wire_to(asker.port) as wire:
            answers = []
            for _ in range(3):
                wire.write(GET, HOST, *more, "")
                answer = wire.read()
                answers.append(
                    (answer.status, sorted((n, v) for n, v in answer.headers.items() if n != "Date"), answer.body)
                )
            assert answers[0] == answers[1] == answers[2]
            return answers[0]

    assert lines()[0] == lines("User-Agent: probe")[0] == 200
    for _ in range(2):
        with wire_to(asker.port) as wire:
            wire.write(GET, "Host: elsewhere.example", "")
            is_problem(wire.read(), 403)
        with wire_to(asker.port) as wire:
            wire.write(GET, HOST, "Connection: close", "")
            assert wire.read().status == 200
            assert wire.ended()


async def test_memory_that_is_out_halves_the_work_and_says_so(database: str, postgres: EmbeddedPostgres) -> None:
    with running_server("--database", database, "--create-tables", "--memory-limit", "1") as server:
        asker = Asker(server.port)
        ends = time.monotonic() + 20
        while b"ingest_workers_allowed 1.0" not in (body := asker.get("/metrics").body):
            assert time.monotonic() < ends
        assert b"ingest_memory_out_total 0.0" not in body
        assert asker.send("things", {"a": 1}, prefer="wait=30").status == 200, "one at a time still goes on"
        _, log = server.terminate()
    assert "memory is out" in log
