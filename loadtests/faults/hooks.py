"""The product started as it is, or through the launcher that puts hooks on it from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.faults import breaches, launch


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a round puts on its processes; nothing at all by default."""

    power: Path | None = None
    """The journal's folder, whose power may be lost."""
    spool: Path | None = None
    """The same of the crawls' machine."""
    clock: Path | None = None
    broken: Sequence[str] = ()
    """Safeguards that are taken away on purpose."""

    def server(self) -> list[str]:
        """What stands between `python -m` and the server's own words."""
        broken = [name for name in self.broken if name in breaches.SERVER]
        hooks = launch.words(power=self.power, clock=self.clock, breaches=broken)
        return ["loadtests.faults.launch", *hooks, "--", "server"] if hooks else ["ingest_server"]

    def crawl(self) -> list[str]:
        """The same for a crawl."""
        broken = [name for name in self.broken if name in breaches.CRAWL]
        hooks = launch.words(power=self.spool, clock=self.clock, breaches=broken)
        return ["loadtests.faults.launch", *hooks, "--", "crawl"] if hooks else ["scrapy"]
