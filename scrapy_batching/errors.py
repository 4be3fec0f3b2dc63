"""What can go wrong on the crawl's side, as one tree; the consequence stands beside each leaf.

BatchingError
├── SettingsRefused     (ValueError too) the crawl does not start; exit code 1 and every mistake with its remedy
├── AsyncioMissing      (RuntimeError too) the crawl does not start; exit code 1 and the setting to change
├── ItemNotEncodable    the item is counted as rejected and goes on unchanged to the next pipelines
└── SpoolFailed         a batch could not be written to the disk either: counted as dropped, logged as critical
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class BatchingError(Exception):
    """Anything that this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One setting that cannot be used: its name, the value as it may be shown, and what to write instead."""

    setting: str
    value: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.setting} = {self.value}: {self.remedy}"


class SettingsRefused(BatchingError, ValueError):
    """The settings hold `mistakes`, all of them at once."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("the batching settings cannot be used:" + "".join(f"\n  {one}" for one in self.mistakes))


class AsyncioMissing(BatchingError, RuntimeError):
    """Scrapy runs on a reactor without asyncio, where nothing can be sent."""

    def __init__(self) -> None:
        self.setting = "TWISTED_REACTOR"
        self.remedy = (
            'set TWISTED_REACTOR = "twisted.internet.asyncioreactor.AsyncioSelectorReactor" (Scrapy\'s default)'
        )
        super().__init__(f"scrapy-batching needs asyncio, and this crawl runs without it: {self.remedy}")


class ItemNotEncodable(BatchingError):
    """`item_type` holds at `path` what JSON has no form for: `culprit` is a type or a reason, never the value."""

    def __init__(self, item_type: str, path: str, culprit: str) -> None:
        self.item_type = item_type
        # Keys may be scraped text: enough to find the place, and nothing that a log cannot write.
        self.path = path[:100].encode("ascii", "backslashreplace").decode()
        self.culprit = culprit
        where = f" at {self.path}" if path else ""
        super().__init__(f"{item_type} cannot be written as JSON: {culprit}{where}; convert the value in the spider")


class SpoolFailed(BatchingError):
    """The batch could not be written below `directory`; `reason` is the operating system's."""

    def __init__(self, directory: Path, reason: str) -> None:
        self.directory = directory
        self.reason = reason
        super().__init__(
            f"the spool {directory} cannot be written ({reason}): free the disk, or set BATCHING_SPOOL_DIR to"
            " a directory that this user may write to"
        )
