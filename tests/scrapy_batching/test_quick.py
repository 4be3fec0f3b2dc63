"""Both roads leave the same behind, whatever the items and the disk do; and plain items take the quick one."""

import asyncio
import os
from collections import Counter
from dataclasses import make_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scrapy_batching.assembly import Surroundings, assemble
from scrapy_batching.items.encode import Encoder
from scrapy_batching.settings.options import Settings
from scrapy_batching.water import Water
from scrapy_batching.wire.client import Client
from tests.scrapy_batching.make import Stats

Book = make_dataclass("Book", [("title", str)])
PLAIN: list[Any] = [
    {"n": 1},
    {"n": None, "said": "null"},
    {"at": datetime(2026, 11, 22, 8, tzinfo=UTC), "on": date(2026, 11, 22), "deep": {"a": [1, 2.5]}},
    Book("Éclat"),
]
ODD: list[Any] = [
    {"n": float("nan")},
    {"n": float("nan"), "m": None},
    {"at": datetime(1900, 1, 1, tzinfo=timezone(timedelta(seconds=17)))},
    {"n": 2**70},
    {1: "a key that is no text"},
    {"lone": "\ud800"},
    {"raw": orjson.Fragment(b'{"a":\n1}')},
    {"raw": b"\xff"},
    {"bad": object()},
    {"odd": float("nan"), "bad": object()},
    object(),
    {"long": "x" * 300},
    {"longer": "x" * 3000},
]


class Silent(Client):
    """A client that never hears anything."""

    async def _step(self, *_: Any) -> Any:
        await asyncio.Event().wait()


class Road:
    """One crawl that is given items by one of the roads."""

    def __init__(self, directory: Path, name: str, **plain: Any) -> None:
        self.directory = directory / name
        self.stats = Stats()
        self.water = Water()

        async def stop(_reason: str) -> None:
            pass

        around = Surroundings(
            name="books",
            spider=None,
            stats=self.stats,
            signals=None,
            water=self.water,
            directory=self.directory,
            stop=stop,
        )
        self.intake, self.life = assemble(Settings(**plain), around)
        self.take = getattr(self.intake, name)

    def left(self) -> dict[str, Any]:
        """The lines by table and batch, in order, with what was counted."""
        self.intake.publish()
        files = sorted(self.directory.glob("*/*/*.ndjson"), key=lambda file: file.name)
        lines = [(file.parent.name, file.read_bytes()) for file in files]
        written = b"".join(file.read_bytes() for file in self.directory.glob("*/tally.ndjson"))
        tally = [line.partition(b'"table"')[2] for line in written.splitlines()]
        counted = {name: value for name, value in self.stats.items() if "seconds" not in name}
        state = (self.water.items, self.water.size, self.water.is_high, self.water.levels)
        return {"lines": lines, "tally": tally, "counted": counted, "water": state}

    async def ended(self) -> None:
        self.intake.rest()
        await self.life._delivery.stop()


async def along_both(directory: Path, items: list[Any], **plain: Any) -> dict[str, Any]:
    roads = [Road(directory, name, **plain) for name in ("take", "take_quickly")]
    found = []
    for road in roads:
        for item in items:
            road.take(item)
        found.append(road.left())
        await road.ended()
    usual, quick = found
    assert quick == usual
    return quick


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    items=st.lists(st.sampled_from(PLAIN * 3 + ODD), max_size=30),
    batch_bytes=st.sampled_from([60, 400, 100_000]),
    high_water_items=st.sampled_from([5, 10_000]),
    high_water_bytes=st.sampled_from([200, 10**9]),
    spool=st.booleans(),
)
def test_both_roads_leave_the_same(tmp_path_factory, monkeypatch, items, **drawn):
    monkeypatch.setattr("scrapy_batching.assembly.Client", Silent)
    asyncio.run(along_both(tmp_path_factory.mktemp("roads"), items, batch_items=4, **drawn))


async def test_plain_items_take_the_quick_road(tmp_path, monkeypatch):
    asked = Counter()
    usual = Encoder.__call__

    def counted(self, item):
        asked["usual"] += 1
        return usual(self, item)

    monkeypatch.setattr("scrapy_batching.assembly.Client", Silent)
    monkeypatch.setattr(Encoder, "__call__", counted)
    road = Road(tmp_path, "take_quickly", batch_items=10)
    for _ in range(30):
        road.take({"n": 1})
    await road.ended()
    assert asked["usual"] == 3, "only the first item of each batch"


@pytest.mark.parametrize("fails", [(3,), (3, 4), (1, 2, 3), (5, 6, 7, 8)])
@pytest.mark.parametrize("how", ["no room", "half a line"])
async def test_what_the_disk_does_not_take_is_written_again_or_kept_in_memory(tmp_path, monkeypatch, fails, how):
    write, written = os.write, Counter()

    def sometimes(descriptor, line):
        if not line.startswith(b'{"n"'):
            return write(descriptor, line)
        written["lines"] += 1
        if written["lines"] not in fails:
            return write(descriptor, line)
        if how == "no room":
            raise OSError(28, "No space left on device")
        return write(descriptor, line[: len(line) // 2])

    monkeypatch.setattr("scrapy_batching.assembly.Client", Silent)
    monkeypatch.setattr(os, "write", sometimes)
    road = Road(tmp_path, "take_quickly", batch_items=100)
    items = [{"n": number} for number in range(12)]
    for item in items:
        road.take(item)
    on_disk = b"".join(content for _, content in road.left()["lines"])
    road.intake.hold()
    held = b"".join(batch.body() for batch in road.life._delivery._held.values())
    assert [orjson.loads(line) for line in held.splitlines()] == items
    assert held.startswith(on_disk[: on_disk.index(b"\n")] if on_disk else b"")
    assert all(line.endswith(b"}") for line in on_disk.splitlines())
    assert road.stats["items/enqueued"] == 12
    await road.ended()
