"""The crawl's side: what each item, and each batch of 500, costs the spider."""

import itertools
from typing import Any

import pytest
import scrapy
from pytest_benchmark.fixture import BenchmarkFixture

from loadtests.items import WIDE, Item
from scrapy_batching.batcher import OpenBatches
from scrapy_batching.items.encode import Encoder
from scrapy_batching.wire.compression import Coding, compress

Listing = type("Listing", (scrapy.Item,), {name: scrapy.Field() for name in WIDE.names})


@pytest.mark.parametrize("kind", [dict, Listing])
def test_encode_one_item(benchmark: BenchmarkFixture, items: list[Item], kind: type[Any]) -> None:
    encode, item = Encoder(), kind(items[0])
    line, altered = benchmark(encode, item)
    assert line.startswith(b"{")
    assert not altered


def test_append_500_lines_to_a_batch(benchmark: BenchmarkFixture, lines: list[bytes]) -> None:
    bare = [line.rstrip(b"\n") for line in lines]
    batches = OpenBatches(most_items=500, most_bytes=2**22, most_age=1.0, clock=itertools.count().__next__)

    def append() -> int:
        closed = 0
        for line in bare:
            closed += len(batches.add("listing", line))
        return closed

    assert benchmark(append) == 1


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_compress_500_items(benchmark: BenchmarkFixture, body: bytes, coding: Coding) -> None:
    assert len(benchmark(compress, body, coding)) < len(body) / 2
