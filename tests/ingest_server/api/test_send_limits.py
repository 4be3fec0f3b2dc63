"""Limits of a batch: each says which it is, and what is packed small is counted unpacked, without taking memory."""

import gzip
import re
import zlib
from pathlib import Path

import pytest
from backports import zstd

from tests.asking import Answer, Asker
from tests.ingest_server.api.problems import is_problem
from tests.make import ndjson
from tests.running import running_server

JSON = "application/json"


@pytest.fixture
def small(database: str):
    limits = {"items": 3, "bytes": 1024, "decoded-bytes": 2048}
    flags = [
        part
        for name, value in limits.items()
        for part in (f"--max-{'batch-' * (name != 'decoded-bytes')}{name}", str(value))
    ]
    with running_server("--database", database, "--create-tables", *flags, "--max-item-bytes", "1100") as server:
        yield Asker(server.port)


def test_each_limit_says_which_it_is(small: Asker) -> None:
    def limit_of(answer: Answer) -> tuple[int, str]:
        problem = is_problem(answer, 413, "too-large")
        return problem["limit"], problem["limit_unit"]

    assert small.send("t", {}, {}, {}, prefer="wait=30").status == 200
    assert limit_of(small.send("t", {}, {}, {}, {})) == (3, "items")
    assert limit_of(small.send("t", body=b"[{},{},{},{}]", content_type=JSON)) == (3, "items")
    assert limit_of(small.send("t", {"a": "x" * 1024})) == (1024, "bytes")
    pieces = iter([ndjson({"a": "x" * 600})] * 2)
    chunked = small.ask(
        "POST", "/v1/tables/t/batches", pieces, {"Content-Type": "application/x-ndjson"}, encode_chunked=True
    )
    assert limit_of(chunked) == (1024, "bytes")
    for encoding, compress in [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd.compress)]:
        bomb = compress(ndjson(*[{"a": "x" * 1000}] * 3))
        assert limit_of(small.send("t", body=bomb, content_encoding=encoding)) == (2048, "decoded_bytes")
        long = compress(ndjson({"a": "x" * 1200}))
        assert limit_of(small.send("t", body=long, content_encoding=encoding)) == (1100, "item_bytes")


TINY = {
    "blank lines": b"\n" * (60 * 2**20),
    "numbers": b"[" + b"0," * (30 * 2**20) + b"0]",
    "items": b'{"items":[' + b"[]," * (20 * 2**20) + b"0]}",
}


@pytest.mark.parametrize("name", TINY)
def test_a_bomb_of_tiny_items_is_refused_without_taking_memory(database: str, name: str) -> None:
    media, status = ("application/x-ndjson", 422) if name == "blank lines" else (JSON, 413)
    with running_server("--database", database, "--create-tables") as server:
        bomb = gzip.compress(TINY[name], compresslevel=1)
        assert Asker(server.port).send("t", body=bomb, content_encoding="gzip", content_type=media).status == status
        status_file = Path(f"/proc/{server.process.pid}/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status_file)[1]) * 1024
    assert peak < 450 * 2**20
