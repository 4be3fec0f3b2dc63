"""The parts of one crawl, made from its settings and put together. No loop is needed, and nothing is opened."""

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scrapy_batching.batcher import Batch, OpenBatches
from scrapy_batching.delivery import Delivery
from scrapy_batching.full import Full
from scrapy_batching.intake import Intake
from scrapy_batching.leftovers.sender import Leftovers
from scrapy_batching.leftovers.telemetry import LeftoverTelemetry
from scrapy_batching.life import Life
from scrapy_batching.names import crawl_name
from scrapy_batching.settings.options import MEMORY_WATER, Settings
from scrapy_batching.settings.places import high_water
from scrapy_batching.spool.crawl import Spool
from scrapy_batching.telemetry import Stats, Telemetry
from scrapy_batching.water import Water
from scrapy_batching.wire.client import Client, Way

LOW_WATER = 0.9
"""With the spool, as a share of high water: half of it may be hours away. In memory it is the half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a crawl is put together in: `name` of its spider, and what Scrapy gives it.

    `stop` closes the spider with a reason.
    """

    name: str
    spider: object
    stats: Stats
    water: Water
    directory: Path
    stop: Callable[[str], Coroutine[Any, Any, None]]


def way_to(settings: Settings, crawl: str) -> Way:
    """How to reach the server."""
    return Way(
        url=settings.url,
        crawl=crawl,
        token=settings.token,
        timeout=settings.timeout,
        connections=settings.concurrency + 1,
        compression=settings.compression,
        retry_base=settings.retry_base,
        retry_max=settings.retry_max,
    )


def assemble(settings: Settings, around: Surroundings) -> tuple[Intake, Life]:
    """Who takes a crawl's items, and who sees it from its beginning to its end."""
    crawl = settings.crawl_id or crawl_name(around.name)
    way = way_to(settings, crawl)
    water = around.water
    water.limit(*high_water(settings), low=LOW_WATER if settings.spool else 0.5, holds=settings.when_full != "drop")
    water.limit_memory(*MEMORY_WATER)
    telemetry = Telemetry(around.stats, spider=around.spider)
    spool = Spool(
        around.directory,
        crawl=crawl,
        spider=around.name,
        observer=telemetry,
        is_writing=settings.spool,
        in_memory=water.rise_in_memory,
        token_variable="BATCHING_TOKEN" if settings.token else None,
    )
    full = Full(water, telemetry, then=settings.when_full, stop=around.stop)
    client = Client(way, telemetry)

    def released(batch: Batch) -> None:
        water.fall(len(batch), batch.size, in_memory=settings.spool and batch.part is None)

    def parked(batch: Batch) -> None:
        full.parked(len(batch), batch.size, in_memory=settings.spool and batch.part is None)

    delivery = Delivery(
        client,
        spool,
        telemetry,
        senders=settings.concurrency,
        address=way.batches,
        released=released,
        parked=parked,
    )
    intake = Intake(
        spider=around.name,
        batches=OpenBatches(
            most_items=settings.batch_items,
            most_bytes=settings.batch_bytes,
            most_age=settings.batch_age,
            clock=time.monotonic,
            place=spool.place,
            spare=spool.spare,
        ),
        batch_age=settings.batch_age,
        drops=settings.when_full == "drop",
        delivery=delivery,
        spool=spool,
        telemetry=telemetry,
        water=water,
        full=full,
    )
    life = Life(
        crawl=crawl,
        url=settings.url,
        close_timeout=settings.close_timeout,
        intake=intake,
        delivery=delivery,
        client=client,
        spool=spool,
        leftovers=Leftovers(around.directory, way, LeftoverTelemetry(around.stats, spider=around.spider)),
        telemetry=telemetry,
        water=water,
    )
    return intake, life
