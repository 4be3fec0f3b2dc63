"""What must hold of the options beyond each number's range. Every mistake with its remedy, none said twice."""

from urllib.parse import urlsplit

from scrapy_batching.errors import Mistake
from scrapy_batching.names import VISIBLE_ASCII
from scrapy_batching.settings.options import ON_FAILURE, START_CHECK, WHEN_FULL, Settings
from scrapy_batching.settings.secure import mistakes_in_secure
from scrapy_batching.settings.values import shown
from scrapy_batching.wire.compression import COMPRESSIONS, has_zstd


def mistakes_in(options: Settings, known: set[str]) -> list[Mistake]:
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
    mistakes += _one_of("BATCHING_WHEN_FULL", options.when_full, WHEN_FULL)
    mistakes += _one_of("BATCHING_ON_FAILURE", options.on_failure, ON_FAILURE)
    mistakes += _one_of("BATCHING_START_CHECK", options.start_check, START_CHECK)
    mistakes += _pauses(options.retry_base, options.retry_max)
    mistakes += [one for one in mistakes_in_secure(options) if one.setting not in known]
    # Where the batch's own size cannot be read, its default stands there.
    if "BATCHING_HIGH_WATER_ITEMS" not in known:
        mistakes += _water("ITEMS", options.high_water_items, options.batch_items)
    if "BATCHING_HIGH_WATER_BYTES" not in known:
        mistakes += _water("BYTES", options.high_water_bytes, options.batch_bytes)
    return mistakes


def _pauses(base: float, most: float) -> list[Mistake]:
    if base <= most or base == Settings().retry_base:
        return []
    return [Mistake("BATCHING_RETRY_BASE", repr(base), f"write no more than BATCHING_RETRY_MAX ({most})")]


def _water(what: str, high: int, batch: int) -> list[Mistake]:
    # Held at less than two batches, the spider would stop and go with every batch, or wait for a batch's age.
    if high == 0 or high >= 2 * batch:
        return []
    remedy = f"write at least twice BATCHING_BATCH_{what} ({2 * batch}), or 0"
    return [Mistake(f"BATCHING_HIGH_WATER_{what}", repr(high), remedy)]


def _address(url: str) -> list[Mistake]:
    remedy = "write it as http://127.0.0.1:8800"
    if "@" in url:
        # What stands before the last @ is not repeated, wherever urlsplit would see it: it holds a password.
        remedy = "leave user and password out of the address and set BATCHING_TOKEN"
        scheme = url.partition("://")[0] if url.startswith(("http://", "https://")) else ""
        host = url.rpartition("@")[2].partition("?")[0].partition("#")[0]
        return [Mistake("BATCHING_URL", f"{scheme and scheme + '://'}(not shown)@{host}", remedy)]
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:
        return [Mistake("BATCHING_URL", "(not an address)", remedy)]
    if parts.query or parts.fragment:
        # Neither are these: a token may stand there.
        bare = parts._replace(query="", fragment="").geturl()
        return [Mistake("BATCHING_URL", f"{shown(bare)} with ? or #", f"{remedy}, without ? and #")]
    return [] if is_address else [Mistake("BATCHING_URL", shown(url), remedy)]


def _one_of(name: str, value: str, words: tuple[str, ...]) -> list[Mistake]:
    if value in words:
        return []
    return [Mistake(name, repr(value), f"write {', '.join(words[:-1])} or {words[-1]}")]
