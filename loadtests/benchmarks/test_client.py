"""The crawl's side: what each item, and each batch of 500, costs the spider."""

import dataclasses
import io
import itertools
from collections.abc import Callable
from typing import Any

import attrs
import orjson
import pydantic
import pytest
import scrapy
from pytest_benchmark.fixture import BenchmarkFixture
from scrapy.exporters import JsonLinesItemExporter

from loadtests.items import WIDE, Item
from scrapy_batching.batching.lines import OpenBatches
from scrapy_batching.items.encode import Encoder
from scrapy_batching.wire.compression import Coding, compress

KINDS: dict[str, Callable[..., Any]] = {
    "dict": dict,
    "scrapy.Item": type("Listing", (scrapy.Item,), {name: scrapy.Field() for name in WIDE.names}),
    "dataclass": dataclasses.make_dataclass("Listing", WIDE.names),
    "attrs": attrs.make_class("Listing", WIDE.names, slots=True),
    "pydantic": pydantic.create_model("Listing", **dict.fromkeys(WIDE.names, (Any, None))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_encode_one_item(benchmark: BenchmarkFixture, items: list[Item], kind: str) -> None:
    encode, item = Encoder(), KINDS[kind](**items[0])
    line, altered = benchmark(encode, item)
    assert line.startswith(b"{")
    assert altered == ()


@pytest.mark.parametrize("kind", KINDS)
def test_export_one_item_to_a_feed_of_json_lines(benchmark: BenchmarkFixture, items: list[Item], kind: str) -> None:
    """What Scrapy itself pays for the same, to compare with."""
    file, item = io.BytesIO(), KINDS[kind](**items[0])
    exporter = JsonLinesItemExporter(file)
    benchmark(exporter.export_item, item)
    assert file.tell()


def test_write_one_item_with_bare_orjson(benchmark: BenchmarkFixture, items: list[Item]) -> None:
    """The floor: a dict that nobody looks at."""
    assert benchmark(orjson.dumps, items[0])


def test_append_500_lines_to_a_batch(benchmark: BenchmarkFixture, lines: list[bytes]) -> None:
    bare = [line.rstrip(b"\n") for line in lines]
    batches = OpenBatches(most_items=500, most_bytes=2**22, most_age=1.0, clock=itertools.count().__next__)

    def append() -> int:
        closed = 0
        for line in bare:
            closed += len(batches.add("listing", line, len(line) + 1))
        return closed

    assert benchmark(append) == 1


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_compress_500_items(benchmark: BenchmarkFixture, body: bytes, coding: Coding) -> None:
    assert len(benchmark(compress, body, coding)) < len(body) / 2
