"""The parts of one crawl, made from its settings and put together. No loop is needed, and nothing is opened."""

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scrapy_batching.batching.batch import Batch
from scrapy_batching.batching.lines import OpenBatches
from scrapy_batching.delivery.holding import Delivery
from scrapy_batching.delivery.pace import Pace
from scrapy_batching.delivery.sender import Sender
from scrapy_batching.full import Full
from scrapy_batching.intake import Intake
from scrapy_batching.items.choosing import Choosing
from scrapy_batching.items.routing import Routing
from scrapy_batching.leftovers.sender import Leftovers
from scrapy_batching.leftovers.telemetry import LeftoverTelemetry
from scrapy_batching.life import Life
from scrapy_batching.names import crawl_name, table_called
from scrapy_batching.settings.options import MEMORY_WATER, Settings
from scrapy_batching.settings.places import high_water
from scrapy_batching.spool.crawl import Spool
from scrapy_batching.start_check import StartCheck
from scrapy_batching.stopping import Stopping
from scrapy_batching.telemetry import Signals, Stats, Telemetry
from scrapy_batching.telemetry.start import StartTelemetry
from scrapy_batching.water import Water
from scrapy_batching.wire.client import Client, Observer
from scrapy_batching.wire.tls import context_of
from scrapy_batching.wire.way import Link, Way

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
    signals: Signals | None
    water: Water
    directory: Path
    stop: Callable[[str], Coroutine[Any, Any, None]]


def way_to(settings: Settings, crawl: str) -> Way:
    """How to reach the server."""
    return Way(
        url=settings.url,
        crawl=crawl,
        token=settings.token,
        headers=settings.headers,
        tls=context_of(settings.tls_ca, settings.tls_cert, settings.tls_key),
        has_certificate=bool(settings.tls_cert),
        timeout=settings.timeout,
        connections=settings.concurrency + 1,
        compression=settings.compression,
        retry_base=settings.retry_base,
        retry_max=settings.retry_max,
    )


def start_check(settings: Settings, around: Surroundings) -> StartCheck | None:
    """Asks the server before the first request; None where BATCHING_START_CHECK is off."""
    if settings.start_check == "off":
        return None
    return StartCheck(
        way_to(settings, ""),
        tables=[one for one in settings.tables.values() if isinstance(one, str)],
        maybe=None if dict in settings.tables else table_called(around.name),
        fails=settings.start_check == "fail",
        telemetry=StartTelemetry(spider=around.spider),
    )


def assemble(settings: Settings, around: Surroundings) -> tuple[Intake, Life]:
    """Who takes a crawl's items, and who sees it from its beginning to its end."""
    crawl = settings.crawl_id or crawl_name(around.name)
    way = way_to(settings, crawl)
    water = around.water
    water.limit(*high_water(settings), low=LOW_WATER if settings.spool else 0.5, holds=settings.when_full != "drop")
    water.limit_memory(*MEMORY_WATER)
    telemetry = Telemetry(around.stats, spider=around.spider, signals=around.signals)
    recovering = LeftoverTelemetry(around.stats, spider=around.spider)
    spool = Spool(
        around.directory,
        crawl=crawl,
        spider=around.name,
        observer=telemetry,
        is_writing=settings.spool,
        in_memory=water.rise_in_memory,
    )
    stopping = Stopping(around.stop, failed=telemetry.defect)
    full = Full(water, telemetry, then=settings.when_full, stopping=stopping)
    link = Link(way, telemetry)
    client = Client(way, telemetry, link=link)

    def released(batch: Batch) -> None:
        water.fall(len(batch), batch.size, in_memory=settings.spool and batch.part is None)
        telemetry.changed()

    def parked(batch: Batch) -> None:
        full.parked(len(batch), batch.size, in_memory=settings.spool and batch.part is None)
        telemetry.changed()

    def sender(custody: Delivery) -> Sender:
        pace = Pace(settings.concurrency)
        return Sender(client, link, way, telemetry, custody, pace=pace, deadline=settings.deadline)

    def connect(to: Way, observer: Observer) -> Client:
        # What earlier crawls left goes through the same breaker, and leaves the first try to what this crawl has.
        return Client(to, observer, link=link, behind=settings.retry_base)

    delivery = Delivery(
        sender,
        spool,
        telemetry,
        address=way.batches,
        released=released,
        parked=parked,
        then=settings.on_failure,
        deadline=settings.deadline,
        stop=stopping.begin,
    )
    batches = OpenBatches(
        most_items=settings.batch_items,
        most_bytes=settings.batch_bytes,
        most_age=settings.batch_age,
        clock=time.monotonic,
        place=spool.place,
        spare=spool.spare,
    )
    telemetry.watch(
        pending=lambda: batches.items + delivery.items,
        waited_seconds=lambda: water.waited_seconds,
        recovered=lambda: recovering.delivered_so_far,
    )
    intake = Intake(
        routing=Routing(around.name, settings.tables),
        is_wanted=Choosing(settings.item_filter, telemetry) if settings.item_filter else None,
        batches=batches,
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
        leftovers=Leftovers(around.directory, way, recovering, connect=connect),
        telemetry=telemetry,
        water=water,
    )
    return intake, life
