"""How to reach the server, and what all that a crawl sends has learnt about it."""

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import quote, urlsplit

from scrapy_batching.wire.backoff import full_jitter
from scrapy_batching.wire.breaker import Breaker, Observer
from scrapy_batching.wire.compression import Coding, choose

_LEAST_SECRET = 6
"""Anything shorter is in every text by chance."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How to reach the server and how to bear with it. Times are in seconds.

    `headers` go with every request; `tls` is for an https address, None: the system's authorities; `has_certificate`: it shows
    one of ours.
    """

    url: str
    crawl: str
    token: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    has_certificate: bool = False
    timeout: float = 60.0
    connections: int = 5
    compression: str = "auto"
    retry_base: float = 0.5
    retry_max: float = 30.0

    def address(self, path: str) -> str:
        """The whole address of a path of the contract, which is already percent-encoded."""
        return self.url.rstrip("/") + path

    def batches(self, table: str) -> str:
        """Where batches of a table are sent."""
        return self.address(f"/v1/tables/{quote(table, safe='')}/batches")

    @cached_property
    def every(self) -> dict[str, str]:
        """The headers of every request."""
        return {**self.headers, **({"Authorization": f"Bearer {self.token}"} if self.token else {})}

    @cached_property
    def _secrets(self) -> tuple[bytes, ...]:
        found = {self.token, *self.headers.values()}
        return tuple(one.encode() for one in sorted(found, key=len, reverse=True) if len(one) >= _LEAST_SECRET)

    def without_secrets(self, text: bytes) -> bytes:
        """What somebody answered, should it repeat the token or a header's value: answers are logged and kept."""
        for one in self._secrets:
            text = text.replace(one, b"(not shown)")
        return text


class Link:
    """What is learnt about the server, by whoever sends: whether it is there, and which coding of bodies it takes.

    One for all the clients of a crawl. `observer` is told of its going and coming.
    """

    def __init__(
        self,
        way: Way,
        observer: Observer,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float], float] = full_jitter,
    ) -> None:
        self.breaker = Breaker(observer, base=way.retry_base, most=way.retry_max, clock=clock, jitter=jitter)
        self.coding: Coding = choose(way.compression, urlsplit(way.url).hostname or "")
