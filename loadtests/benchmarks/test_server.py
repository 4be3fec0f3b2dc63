"""The server's side: what a batch of 500 wide items costs between the socket and COPY."""

import asyncio

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ingest_server.inflate import inflater
from ingest_server.model import Column, TableName, TableSpec
from ingest_server.postgres.decoding.decode import Decoder
from ingest_server.wire import fingerprint, split
from loadtests.items import WIDE
from scrapy_batching.wire.compression import Coding, compress

_KINDS = {"bigint": "int8", "integer": "int4", "double precision": "float8", "boolean": "bool"}


def test_split_ndjson(benchmark: BenchmarkFixture, body: bytes, lines: list[bytes]) -> None:
    assert len(benchmark(split, body, "ndjson")) == len(lines)


def test_split_json_array(benchmark: BenchmarkFixture, lines: list[bytes]) -> None:
    array = b"[" + b",".join(line.rstrip() for line in lines) + b"]"
    assert len(benchmark(split, array, "json")) == len(lines)


def test_fingerprint(benchmark: BenchmarkFixture, body: bytes) -> None:
    assert len(benchmark(fingerprint, body)) == 32


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
def test_inflate(benchmark: BenchmarkFixture, body: bytes, coding: Coding) -> None:
    sent = compress(body, coding)

    def inflate() -> int:
        stream = inflater(coding)
        size = sum(map(len, stream.feed(sent)))
        stream.finish()
        return size

    assert benchmark(inflate) == len(body)


def test_decode_and_validate(benchmark: BenchmarkFixture, body: bytes, lines: list[bytes]) -> None:
    columns = tuple(
        Column(name, kind, _KINDS.get(kind, kind), nullable=name != WIDE.key) for name, kind in WIDE.columns
    )
    decoder = Decoder(TableSpec(TableName("public", "listing"), columns, key=(WIDE.key,)))
    items = split(body, "ndjson")
    loop = asyncio.new_event_loop()
    try:
        decoded = benchmark(lambda: loop.run_until_complete(decoder.decode(items)))
    finally:
        loop.close()
    assert decoded.refusals == []
    assert sum(len(group.values) for group in decoded.groups) == len(lines)
