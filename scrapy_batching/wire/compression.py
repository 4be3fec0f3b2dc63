"""How a body is made smaller on its way, and whether it is worth it."""

import gzip
import importlib
import ipaddress
from functools import lru_cache
from typing import Any, Literal

COMPRESSIONS = ("auto", "zstd", "gzip", "off")
Coding = Literal["zstd", "gzip", "identity"]

_ZSTD_LEVEL = 1
_GZIP_LEVEL = 1


def has_zstd() -> bool:
    """Whether zstd is to be had: it is part of Python 3.14, and comes with Scrapy 2.18 before that."""
    return _zstd() is not None


def choose(wanted: str, host: str) -> Coding:
    """The coding for bodies to `host` (`wanted`: one of COMPRESSIONS); `auto` compresses only what leaves the machine."""
    if wanted == "auto" and not is_loopback(host):
        wanted = "zstd" if has_zstd() else "gzip"
    if wanted == "zstd":
        return "zstd"
    return "gzip" if wanted == "gzip" else "identity"


def next_best(coding: Coding) -> Coding:
    """What to try where a server takes no bodies in `coding`."""
    return "gzip" if coding == "zstd" else "identity"


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine for certain."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def compress(body: bytes, coding: Coding) -> bytes:
    """`body` in `coding`."""
    if coding == "gzip":
        return gzip.compress(body, _GZIP_LEVEL, mtime=0)
    if coding == "zstd":
        smaller: bytes = _zstd().compress(body, _ZSTD_LEVEL)
        return smaller
    return body


@lru_cache(maxsize=1)
def _zstd() -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None
