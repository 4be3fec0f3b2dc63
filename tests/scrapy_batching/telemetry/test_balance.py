"""enqueued = delivered + rejected + spooled + dropped + pending, whenever anybody reads the stats."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scrapy_batching.assembly import Surroundings, assemble
from scrapy_batching.batching.batch import Batch
from scrapy_batching.settings.options import Settings
from scrapy_batching.telemetry import counts
from scrapy_batching.telemetry.counts import FATES
from scrapy_batching.water import Water
from scrapy_batching.wire.answers import Delivered, ForLater, InMemory, Outcome, Problem, Refused, TooLarge, TryAgain
from scrapy_batching.wire.client import Client, Progress
from tests.scrapy_batching.crawls import crawled, crawling
from tests.scrapy_batching.fake_server import FakeServer, Holding, drops, says, takes_at_most
from tests.scrapy_batching.make import Stats


class Answers(Client):
    """A client without a wire: it hears what it is told, then that everything is taken; `away` is never answered."""

    told: list[str] = []  # noqa: RUF012 - one list for the client that the assembly makes

    async def _step(self, batch: Batch, progress: Progress) -> Outcome | InMemory | TryAgain:
        await asyncio.sleep(0)
        match self.told.pop() if self.told else "delivered":
            case "large" if len(batch) > 1:
                return TooLarge(Problem(413, "too large", ""))
            case "later":
                return ForLater(Problem(404, "no such table", ""))
            case "refused":
                return Refused(Problem(422, "no", ""))
            case "server" | "table" | "rate" | "batch" as whose:
                return TryAgain("answer 503", whose=whose)
            case "memory":
                return InMemory(0.0)
            case "defect":
                raise ValueError("a defect")
            case "gone" if batch.part is not None:
                batch.part.path.unlink(missing_ok=True)
                raise FileNotFoundError("gone")
            case "away":
                await asyncio.Event().wait()
        return Delivered(len(batch), 0)

    async def close_crawl(self, *_: Any, **__: Any) -> None:
        return None


class Watched(Stats):
    """Looks at the stats in every turn of the loop."""

    def __init__(self) -> None:
        self.looks = 0
        self.seen: set[tuple[int, ...]] = set()

    def look(self) -> None:
        if "items/enqueued" in self:
            self.looks += 1
            enqueued, *fates = (self[f"items/{name}"] for name in ("enqueued", *FATES))
            assert enqueued == sum(fates), dict(zip(FATES, fates, strict=True)) | {"enqueued": enqueued}
            assert min(fates) >= 0
            self.seen.add((enqueued, *fates))


async def lived(stats: Watched, directory: Path, steps: list[str], plain: Settings) -> None:
    async def stop(_reason: str) -> None:
        pass

    around = Surroundings(
        name="numbers", spider=None, stats=stats, signals=None, water=Water(), directory=directory, stop=stop
    )
    intake, life = assemble(plain, around)
    life.begin()
    for number, step in enumerate(steps):
        if step == "turn":
            await asyncio.sleep(0)
        elif step == "flush":
            intake.flush("idle")
        else:
            intake.take(object() if step == "bad" else {"n": number})
        intake.publish()
        stats.look()
    watcher = asyncio.create_task(watching(stats))
    await life.ended("finished")
    watcher.cancel()
    (error,) = await asyncio.gather(watcher, return_exceptions=True)
    if isinstance(error, AssertionError):
        raise error
    stats.look()
    assert stats["items/pending"] == 0
    assert stats["items/enqueued"] == sum(one in ("item", "bad") for one in steps)


async def watching(stats: Watched) -> None:
    while True:
        stats.look()
        await asyncio.sleep(0)


STEPS = st.sampled_from(["item", "item", "item", "bad", "turn", "turn", "flush"])
FATE = st.sampled_from(
    ["delivered", "large", "later", "refused", "server", "table", "rate", "batch", "memory", "defect", "gone", "away"]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(STEPS, min_size=10, max_size=80),
    fates=st.lists(FATE, min_size=3, max_size=20),
    spool=st.booleans(),
    when_full=st.sampled_from(["block", "drop"]),
    deadline=st.sampled_from([0.0, 0.005]),
    on_failure=st.sampled_from(["spool", "stop", "drop"]),
)
def test_the_stats_balance_whatever_becomes_of_the_batches(monkeypatch, steps, fates, **drawn):
    monkeypatch.setattr("scrapy_batching.assembly.Client", Answers)
    monkeypatch.setattr(counts, "PUBLISH_SECONDS", 0.0)
    monkeypatch.setattr(Answers, "told", fates)
    plain = Settings(
        batch_items=4,
        concurrency=2,
        close_timeout=0.02,
        high_water_items=12,
        retry_base=0.001,
        retry_max=0.002,
        **drawn,
    )
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(lived(Watched(), Path(directory) / "spool", steps, plain))


READER = """
from scrapy import signals
from scrapy_batching.telemetry import counts

counts.PUBLISH_SECONDS = 0.0  # every fact is seen in the next turn of the loop
FATES = ("delivered", "rejected", "spooled", "dropped", "pending")

class Reader:
    def __init__(self, crawler):
        self.crawler, self.looks, self.seen, self.wrong = crawler, 0, set(), []

    @classmethod
    def from_crawler(cls, crawler):
        reader = cls(crawler)
        crawler.signals.connect(reader.look, signals.item_scraped)
        crawler.signals.connect(reader.begin, signals.spider_opened)
        crawler.signals.connect(reader.end, signals.engine_stopped)
        return reader

    def begin(self):
        self.task = asyncio.get_running_loop().create_task(self.turn())

    async def turn(self):
        while True:
            self.look()
            await asyncio.sleep(0)

    def look(self):
        stats = self.crawler.stats.get_stats()
        if "batching/items/enqueued" not in stats:
            return
        self.looks += 1
        enqueued, *fates = (stats[f"batching/items/{name}"] for name in ("enqueued", *FATES))
        self.seen.update(name for name, count in zip(FATES, fates) if count)
        if enqueued != sum(fates):
            self.wrong.append((enqueued, fates))

    def end(self):
        self.look()
        self.task.cancel()
        Path("read.json").write_text(json.dumps([self.looks, sorted(self.seen), self.wrong]))

SETTINGS["EXTENSIONS"] = {Reader: 0}

class Numbers(scrapy.Spider):
    name = "numbers"
    async def start(self):
        stats, most = self.crawler.stats.get_stats(), self.settings.getint("PENDING_AT_MOST")
        for n in range(400):
            yield object_without_form() if n % 50 == 7 else {"n": n}
            if n and n % 40 == 0:
                # From the first stats on every item that is scraped is a look.
                while stats.get("batching/items/pending", most + 1) > most:
                    await asyncio.sleep(0)

def object_without_form():
    return {"n": object()}

SPIDERS = [Numbers]
"""


async def unwell(server: FakeServer, request: Any, body: bytes) -> Any:
    """Fails, refuses, splits, cuts off, has no table, by turns."""
    turns = (says(503), takes_at_most(6), None, drops(), says(422, "no"), drops(True), None, says(404, "no table"))
    trick = turns[len(server.sent) % len(turns)]
    return None if trick is None else await trick(server, request, body)


def read(directory: Path) -> tuple[int, list[str], list[object]]:
    import json

    looks, seen, wrong = json.loads((directory / "read.json").read_text())
    return looks, seen, wrong


@pytest.mark.parametrize("spool", [True, False])
async def test_the_stats_of_a_crawl_balance_whenever_an_extension_reads_them(server, tmp_path, spool):
    server.always = unwell
    # Every batch finds its fate between two lots of items: only what no batch was closed for may be pending.
    more = {"PENDING_AT_MOST": 11, "BATCHING_SPOOL": spool, "LOG_LEVEL": "INFO"}
    crawl = await crawled(tmp_path, READER, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=12, **more)
    looks, seen, wrong = read(tmp_path)
    assert wrong == []
    assert looks >= 400 - 41
    assert seen == ["delivered", "pending", "rejected", "spooled"]
    stats = crawl.batching()
    assert stats["items/enqueued"] == 400
    assert stats["items/pending"] == 0
    assert stats["items/rejected"] >= 8


async def test_the_stats_balance_while_items_are_dropped_and_the_server_holds_its_answers(server, tmp_path):
    holding = Holding()
    server.always = holding
    more = {"BATCHING_WHEN_FULL": "drop", "BATCHING_HIGH_WATER_ITEMS": 100, "BATCHING_CLOSE_TIMEOUT": 0.2}
    more |= {"PENDING_AT_MOST": 400}
    async with crawling(tmp_path, READER, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=12, **more) as crawl:
        assert await crawl.end() == 0
    holding.go.set()
    _, seen, wrong = read(tmp_path)
    assert wrong == []
    assert {"dropped", "pending", "spooled"} <= set(seen)
    assert crawl.batching()["batches/spooled"] > 0
