"""What becomes a stat, and when."""

import asyncio
import random
from typing import Any

import pytest

from scrapy_batching.leftovers.telemetry import LeftoverTelemetry
from scrapy_batching.telemetry import counts
from scrapy_batching.telemetry.durations import Durations
from scrapy_batching.wire.answers import Delivered
from tests.scrapy_batching.crawls import crawled
from tests.scrapy_batching.fake_server import acknowledges
from tests.scrapy_batching.make import batch, telemetry


@pytest.mark.parametrize("seed", range(5))
def test_a_percentile_is_at_most_a_tenth_too_high_and_never_too_low(seed):
    chance, durations = random.Random(seed), Durations()
    seconds = sorted(chance.lognormvariate(-2, 2) for _ in range(1_000))
    for one in chance.sample(seconds, len(seconds)):
        durations.add(one)
    assert durations.mean == pytest.approx(sum(seconds) / 1_000)
    assert durations.most == seconds[-1]
    for share in (0.5, 0.95, 1.0):
        exact = seconds[int(1_000 * share) - 1]
        assert exact <= durations.within(share) * (1 + 1e-9)
        assert durations.within(share) <= exact * 1.1 + 1e-9


def test_durations_take_no_more_room_the_longer_a_crawl_lasts():
    durations = Durations()
    for number in range(100_000):
        durations.add(number / 1_000)
    durations.add(0.0)
    assert len(durations._steps) < 250


def test_without_any_duration_all_is_zero():
    durations = Durations()
    assert (durations.mean, durations.within(0.95), durations.most) == (0.0, 0.0, 0.0)


async def test_many_facts_are_published_at_once_and_soon(monkeypatch):
    monkeypatch.setattr(counts, "PUBLISH_SECONDS", 0.0)
    facts, stats = telemetry()
    published = []
    facts.watch(pending=lambda: published.append(1) or 0, waited_seconds=float, recovered=lambda: (0, 0))
    for _ in range(50):
        facts.delivered(batch(2), Delivered(2, 0))
        facts.changed()
    assert published == []
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(published) == 1
    assert stats["items/delivered"] == 100


async def test_what_is_published_by_hand_is_not_published_once_more(monkeypatch):
    monkeypatch.setattr(counts, "PUBLISH_SECONDS", 0.0)
    facts, stats = telemetry()
    facts.changed()
    facts.publish()
    stats.clear()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert stats == {}


async def test_the_stats_of_a_crawl_keep_to_scrapys_ways(server, tmp_path):
    """Prefix, thing, label; numbers and strings only, so that every collector and monitor can keep them."""
    server.tricks.append(acknowledges("committed", 207, failed=1, succeeded=6))
    crawl = await crawled(tmp_path, BATCHING_URL=server.url)
    ours: dict[str, Any] = {name: value for name, value in crawl.stats[0].items() if name.startswith("batching")}
    assert {type(value) for value in ours.values()} <= {int, float, str}
    assert all(name.startswith("batching/") and name == name.lower() and " " not in name for name in ours)
    assert 0 < ours["batching/delivery_seconds/mean"] <= ours["batching/delivery_seconds/max"] < 30
    assert 0 < ours["batching/request_seconds/mean"] <= ours["batching/delivery_seconds/max"]
    assert ours["batching/batches/closed"] == ours["batching/batches/delivered"] == 1


def test_what_is_recovered_is_seen_at_once_and_under_one_name():
    _, stats = telemetry()
    facts = LeftoverTelemetry(stats)
    facts.found(2, 5)
    facts.delivered(batch(3), Delivered(3, 0))
    assert (stats["items/recovered"], stats["batches/recovered"]) == (3, 1)
    assert {name for name in stats if name.startswith("leftovers/")} == {
        "leftovers/items/found",
        "leftovers/batches/found",
    }
