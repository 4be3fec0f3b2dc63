"""The options about headers and TLS: what must hold of them, the files included. No value of a header is ever shown."""

import re
from collections.abc import Mapping
from typing import Any

from scrapy_batching.errors import Mistake
from scrapy_batching.settings.options import Settings
from scrapy_batching.wire.tls import wrong_with_ca, wrong_with_pair

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_OURS = {
    "authorization": "set BATCHING_TOKEN",
    "idempotency-key": "leave it out: a batch has its own name",
    "ingest-crawl": "set BATCHING_CRAWL_ID",
    "content-encoding": "set BATCHING_COMPRESSION",
    "prefer": "leave it out: batching says what it prefers",
}
_OF_THE_CONNECTION = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "content-type", "expect", "host", "keep-alive", "te"),
        *("trailer", "transfer-encoding", "upgrade"),
    }
)


def mistakes_in_secure(options: Settings) -> list[Mistake]:
    """The mistakes in BATCHING_HEADERS and BATCHING_TLS_…. Reads the files that are named."""
    return [*_headers(options.headers), *_tls(options)]


def _headers(headers: Mapping[Any, Any]) -> list[Mistake]:
    mistakes, seen = [], set()
    for name, value in headers.items():
        key = str(name).lower()
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            remedy = "a header's name has letters, digits and - only"
        elif key in _OURS:
            remedy = _OURS[key]
        elif key in _OF_THE_CONNECTION:
            remedy = "leave it out: the connection's own headers are not for choosing"
        elif key in seen:
            remedy = "write it once: capitals make no difference"
        elif not isinstance(value, str) or not _VALUE.fullmatch(value):
            remedy = "write its value as a text of visible ASCII characters, without line breaks or blanks around it"
        else:
            remedy = ""
        seen.add(key)
        if remedy:
            mistakes.append(Mistake("BATCHING_HEADERS", _shown(name), remedy))
    return mistakes


def _shown(name: object) -> str:
    # A header that was written in one text, name and value, would be shown whole.
    text = str(name).partition(":")[0][:40]
    return f"{text.encode('ascii', 'backslashreplace').decode()!r}: (not shown)"


def _tls(options: Settings) -> list[Mistake]:
    files = {"tls_ca": options.tls_ca, "tls_cert": options.tls_cert, "tls_key": options.tls_key}
    wrong = _wrong_files(options)
    if not options.url.startswith("https://"):
        remedy = "write https:// in BATCHING_URL, or leave it empty: without TLS it would have no effect"
        wrong = {
            name: f"{remedy}; and: {wrong[name]}" if name in wrong else remedy for name, path in files.items() if path
        }
    return [Mistake(f"BATCHING_{name.upper()}", repr(files[name]), why) for name, why in wrong.items()]


def _wrong_files(options: Settings) -> dict[str, str]:
    """Which of the three cannot be used, and why."""
    wrong = {}
    if options.tls_ca and (why := wrong_with_ca(options.tls_ca)):
        wrong["tls_ca"] = why
    if options.tls_key and not options.tls_cert:
        wrong["tls_key"] = "set BATCHING_TLS_CERT too, or leave it empty"
    elif options.tls_cert:
        name, why = wrong_with_pair(options.tls_cert, options.tls_key)
        if why:
            wrong[name] = why
    return wrong
