"""Every option of the crawl's side: declared once here, read in one function, refused all at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs
from scrapy.settings import BaseSettings
from scrapy.utils.asyncio import is_asyncio_available

from scrapy_batching.compression import COMPRESSIONS, has_zstd
from scrapy_batching.errors import AsyncioMissing, Mistake, SettingsRefused
from scrapy_batching.names import VISIBLE_ASCII

PREFIX = "BATCHING_"


@dataclass(frozen=True, slots=True)
class Option:
    """What is said about one setting: `unit` and `why` for the docs, `least` for the check."""

    name: str
    default: Any
    unit: str
    why: str


SPOOL_WATER = (10_000_000, 4_000_000_000)
MEMORY_WATER = (10_000, 64_000_000)
WHEN_FULL = ("block", "stop", "drop")


def _option(default: Any, *, unit: str = "", least: float | None = None, why: str, hidden: bool = False) -> Any:
    return field(default=default, repr=not hidden, metadata={"unit": unit, "least": least, "why": why})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options as they were read; a field `batch_items` is the setting `BATCHING_BATCH_ITEMS`."""

    enabled: bool = _option(True, why="off: no item is batched and nothing is sent")
    url: str = _option("http://127.0.0.1:8800", why="where the ingestion server listens, without user and password")
    token: str = _option("", hidden=True, why="sent as `Authorization: Bearer …`; never logged")
    batch_items: int = _option(500, unit="items", least=1, why="a batch is closed when it holds so many")
    batch_bytes: int = _option(1_000_000, unit="bytes", least=1, why="a batch is closed before its body grows larger")
    batch_age: float = _option(5.0, unit="seconds", least=0.01, why="a batch is closed when its first item is so old")
    concurrency: int = _option(4, unit="batches", least=1, why="how many batches are on their way at a time")
    timeout: float = _option(60.0, unit="seconds", least=0.01, why="one request: connecting, sending and the answer")
    retry_base: float = _option(
        0.5, unit="seconds", least=0.001, why="the first pause is up to so long, each next doubles"
    )
    retry_max: float = _option(30.0, unit="seconds", least=0.001, why="no pause of our own choice is longer")
    close_timeout: float = _option(
        600.0, unit="seconds", least=0, why="how long a closing crawl keeps trying before the rest goes to the spool"
    )
    compression: str = _option("auto", why="`auto`: off on loopback, zstd elsewhere")
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
    crawl_id: str = _option("", why="the crawl's id on the server; empty: the spider's name and a UUIDv7")


OPTIONS: tuple[Option, ...] = tuple(
    Option(PREFIX + one.name.upper(), one.default, one.metadata["unit"], one.metadata["why"])
    for one in fields(Settings)
)


def read_settings(settings: BaseSettings) -> Settings:
    """The options from a crawler's settings, checked.

    Raises SettingsRefused (a ValueError) with every mistake: its setting, the value and the remedy.
    """
    getters: dict[type, Callable[[str], Any]] = {
        bool: settings.getbool,
        int: lambda name: _whole(settings.get(name)),
        float: settings.getfloat,
    }
    values: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    for one in fields(Settings):
        name = PREFIX + one.name.upper()
        raw = settings.get(name)
        if raw is None:
            continue
        kind: type = type(one.default)
        try:
            value: Any = getters[kind](name) if kind in getters else str(raw).strip()
        except (ValueError, TypeError, OverflowError):
            mistakes.append(Mistake(name, repr(raw), f"write {_KINDS[kind]}, as in {name} = {one.default!r}"))
            continue
        least = one.metadata["least"]
        if least is not None and not (least <= value < math.inf):
            mistakes.append(Mistake(name, repr(raw), f"write {least} or more ({one.metadata['unit']})"))
        values[one.name] = value
    mistakes += _unknown(settings)
    options = Settings(**values)
    mistakes += _checked(options, {mistake.setting for mistake in mistakes})
    if mistakes:
        raise SettingsRefused(mistakes)
    return options


def high_water(options: Settings) -> tuple[int, int]:
    """How many items and bytes may wait, where 0 means what suits the place where they wait."""
    items, size = SPOOL_WATER if options.spool else MEMORY_WATER
    return (
        options.high_water_items or max(items, 2 * options.batch_items),
        options.high_water_bytes or max(size, 2 * options.batch_bytes),
    )


def spool_directory(options: Settings, settings: BaseSettings) -> Path:
    """Where the spool lies; nothing is made by asking."""
    if options.spool_dir:
        return Path(options.spool_dir).expanduser()
    jobdir = settings.get("JOBDIR")
    if jobdir:
        return Path(jobdir) / "batching"
    return platformdirs.user_state_path("scrapy-batching") / str(settings.get("BOT_NAME") or "scrapybot")


def require_asyncio() -> None:
    """Raises AsyncioMissing where Scrapy runs without asyncio."""
    try:
        is_available = is_asyncio_available()
    except RuntimeError as error:  # neither a loop nor a reactor
        raise AsyncioMissing from error
    if not is_available:
        raise AsyncioMissing


def _unknown(settings: BaseSettings) -> list[Mistake]:
    """Settings with our prefix that nobody reads: a typing error, or an option of another version."""
    known = [option.name.removeprefix(PREFIX) for option in OPTIONS]
    ours = [name for name in map(str, settings) if name.startswith(PREFIX)]
    unknown = [name for name in ours if name.removeprefix(PREFIX) not in known]
    near = {name: get_close_matches(name.removeprefix(PREFIX), known, 1) for name in unknown}
    return [
        Mistake(
            name,
            repr(settings.get(name)),
            f"did you mean {PREFIX}{near[name][0]}?" if near[name] else "there is no such option",
        )
        for name in unknown
    ]


_KINDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}


def _whole(raw: Any) -> int:
    """`raw` as an int; `int()` alone would cut 2.5 to 2 without a word."""
    value = int(raw)
    if isinstance(raw, float) and raw != value:
        raise ValueError(raw)
    return value


def _checked(options: Settings, known: set[str]) -> list[Mistake]:
    """The mistakes that need more than one number's range; those of settings in `known` are not said twice."""
    mistakes = [*_address(options.url)]
    if options.compression not in COMPRESSIONS:
        mistakes.append(Mistake("BATCHING_COMPRESSION", repr(options.compression), "write auto, zstd, gzip or off"))
    elif options.compression == "zstd" and not has_zstd():
        mistakes.append(Mistake("BATCHING_COMPRESSION", "'zstd'", "pip install backports.zstd, or write auto or gzip"))
    if options.crawl_id and not VISIBLE_ASCII.fullmatch(options.crawl_id):
        remedy = "write 1 to 255 visible ASCII characters without spaces, or leave it empty"
        mistakes.append(Mistake("BATCHING_CRAWL_ID", repr(options.crawl_id), remedy))
    if options.token and not VISIBLE_ASCII.fullmatch(options.token):
        remedy = "write the token alone: 1 to 255 visible ASCII characters, no spaces, no `Bearer`"
        mistakes.append(Mistake("BATCHING_TOKEN", "(not shown)", remedy))
    if options.when_full not in WHEN_FULL:
        mistakes.append(Mistake("BATCHING_WHEN_FULL", repr(options.when_full), "write block, stop or drop"))
    if not known & {"BATCHING_HIGH_WATER_ITEMS", "BATCHING_BATCH_ITEMS"}:
        mistakes += _water("ITEMS", options.high_water_items, options.batch_items)
    if not known & {"BATCHING_HIGH_WATER_BYTES", "BATCHING_BATCH_BYTES"}:
        mistakes += _water("BYTES", options.high_water_bytes, options.batch_bytes)
    return mistakes


def _water(what: str, high: int, batch: int) -> list[Mistake]:
    # Held at less than two batches, the spider would stop and go with every batch, or wait for a batch's age.
    if high == 0 or high >= 2 * batch:
        return []
    remedy = f"write at least twice BATCHING_BATCH_{what} ({2 * batch}), or 0"
    return [Mistake(f"BATCHING_HIGH_WATER_{what}", repr(high), remedy)]


def _address(url: str) -> list[Mistake]:
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:
        return [Mistake("BATCHING_URL", "(not an address)", "write it as http://127.0.0.1:8800")]
    if "@" in parts.netloc:
        # The value is not repeated: it holds a password.
        remedy = "leave user and password out of the address and set BATCHING_TOKEN"
        return [Mistake("BATCHING_URL", f"{parts.scheme}://(not shown)@{parts.netloc.rpartition('@')[2]}", remedy)]
    if parts.scheme not in ("http", "https") or not has_host or parts.query or parts.fragment:
        return [Mistake("BATCHING_URL", repr(url), "write it as http://127.0.0.1:8800, without ? and #")]
    return []
