"""Every option of the crawl's side, declared once: its default, its unit, and why it is there."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from scrapy_batching.items.choosing import ItemFilter
from scrapy_batching.items.routing import Rule

PREFIX = "BATCHING_"


@dataclass(frozen=True, slots=True)
class Option:
    """What is said about one setting: `unit` and `why` for the docs; `is_shown`: its value may be logged."""

    name: str
    default: Any
    unit: str
    why: str
    is_shown: bool


SPOOL_WATER = (10_000_000, 4_000_000_000)
MEMORY_WATER = (10_000, 64_000_000)
WHEN_FULL = ("block", "stop", "drop")
ON_FAILURE = ("spool", "stop", "drop")
START_CHECK = ("off", "warn", "fail")


def _option(
    default: Any, *, unit: str = "", least: float | None = None, why: str, hidden: bool = False, example: str = ""
) -> Any:
    metadata = {"unit": unit, "least": least, "why": why, "example": example}
    if isinstance(default, dict):
        return field(default_factory=dict, repr=not hidden, metadata=metadata)
    return field(default=default, repr=not hidden, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options as they were read; a field `batch_items` is the setting `BATCHING_BATCH_ITEMS`."""

    # Where to, and who.
    enabled: bool = _option(True, why="off: no item is batched and nothing is sent")
    url: str = _option("http://127.0.0.1:8800", why="where the ingestion server listens, without user and password")
    token: str = _option("", hidden=True, why="sent as `Authorization: Bearer …`; never logged")
    headers: Mapping[str, str] = _option(
        {}, hidden=True, example='{"X-Name": "value"}', why="sent with every request; values are never logged"
    )
    tls_ca: str = _option("", why="a PEM file with the authorities that the server's certificate is checked against")
    tls_cert: str = _option("", why="a PEM file with this client's certificate")
    tls_key: str = _option("", why="a PEM file with its key, where it is not in the same file")
    crawl_id: str = _option("", why="the crawl's id on the server; empty: the spider's name and a UUIDv7")

    # Which items, and which tables.
    tables: Mapping[type, Rule] = _option(
        {},
        example='{"myproject.items.Book": "books"}',
        why="item class, or its import path, to a table's name or a callable",
    )
    item_filter: ItemFilter | None = _option(  # noqa: RUF009 - a field, as the others
        None, why="a class, or its import path: its `accepts(item)` says which items are stored"
    )

    # Batches.
    batch_items: int = _option(500, unit="items", least=1, why="a batch is closed when it holds so many")
    batch_bytes: int = _option(1_000_000, unit="bytes", least=1, why="a batch is closed before its body grows larger")
    batch_age: float = _option(5.0, unit="seconds", least=0.01, why="a batch is closed when its first item is so old")
    concurrency: int = _option(4, unit="batches", least=1, why="how many batches are on their way at a time")
    compression: str = _option("auto", why="`auto`: off on loopback, zstd elsewhere")

    # Delivery, and its failure.
    timeout: float = _option(60.0, unit="seconds", least=0.01, why="one request: connecting, sending and the answer")
    retry_base: float = _option(
        0.5, unit="seconds", least=0.001, why="the first pause is up to so long, each next doubles"
    )
    retry_max: float = _option(30.0, unit="seconds", least=0.001, why="no pause of our own choice is longer")
    close_timeout: float = _option(
        600.0, unit="seconds", least=0, why="how long a closing crawl keeps trying before the rest goes to the spool"
    )
    deadline: float = _option(
        0.0,
        unit="seconds",
        least=0,
        why="how long a batch is tried before BATCHING_ON_FAILURE applies; 0: until the end",
    )
    on_failure: str = _option(
        "spool", why="past the deadline: leave the batch in the `spool`, `stop` the crawl as well, or `drop` it"
    )

    # Spool and high water.
    spool: bool = _option(
        True, why="each item is on disk when the pipeline has taken it; off: items wait in memory until the crawl's end"
    )
    spool_dir: str = _option(
        "", why="where items wait; empty: `JOBDIR/batching`, else the user's state directory, by project"
    )
    high_water_items: int = _option(
        0, unit="items", least=0, why="more than so many waiting items hold the spider; 0: 10,000,000, in memory 10,000"
    )
    high_water_bytes: int = _option(
        0, unit="bytes", least=0, why="more than so many waiting bytes hold the spider; 0: 4 GB, in memory 64 MB"
    )
    when_full: str = _option(
        "block", why="at high water: `block` the spider, `stop` the crawl, or `drop` further items"
    )

    # The start.
    start_check: str = _option("off", why="whether the server is asked at the start: `off`, `warn` or `fail`")


OPTIONS: tuple[Option, ...] = tuple(
    Option(
        PREFIX + one.name.upper(),
        {} if one.default is MISSING else one.default,
        one.metadata["unit"],
        one.metadata["why"],
        one.repr,
    )
    for one in fields(Settings)
)
