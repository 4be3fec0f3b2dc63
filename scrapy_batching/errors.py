"""What can go wrong on the crawl's side, as one tree; the consequence stands beside each leaf.

BatchingError
├── SettingsRefused     (ValueError too) the crawl does not start; exit code 1 and every mistake with its remedy
├── AsyncioMissing      (RuntimeError too) the crawl does not start; exit code 1 and the setting to change
├── StartCheckFailed    (RuntimeError too) the crawl does not start; exit code 1 and what to do at the server
├── ItemNotEncodable    the item is counted as rejected and goes on unchanged to the next pipelines
├── ItemWithoutTable    the same
├── SpoolFailed         a batch could not be written to the disk either: counted as dropped, logged as critical
├── BatchSizeMismatch   every item of the `Batcher`'s batch is in its result as failed, with this
├── ItemCancelled       the same for the one item
├── BatcherClosed       (RuntimeError too) the item was not taken
└── LoopGone            (RuntimeError too) the item was not taken; those that wait are in `Batcher.pending_items`
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


class StartCheckFailed(BatchingError, RuntimeError):
    """The server at `url` was asked before the crawl, as BATCHING_START_CHECK wants, and `findings` say what is wrong."""

    def __init__(self, url: str, findings: Sequence[str]) -> None:
        self.url = url
        self.findings = tuple(findings)
        super().__init__(f"the ingestion server at {url} is not ready for this crawl: {'; '.join(self.findings)}")


class ItemWithoutTable(BatchingError):
    """No table could be told for an item of `item_type`: `culprit` is a reason, never the item's content."""

    def __init__(self, item_type: str, culprit: str) -> None:
        self.item_type = item_type
        self.culprit = culprit
        super().__init__(
            f"{item_type} has no table: {culprit}; name one for it in BATCHING_TABLES, or as `batching_table` in the class"
        )


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


class BatchSizeMismatch(BatchingError):
    """What was given `expected` items did not answer with one outcome for each: it gave `got`, a number or a type's name."""

    def __init__(self, expected: int, got: int | str) -> None:
        self.expected = expected
        self.got = got
        super().__init__(
            f"process was given {expected} items and returned {got}: return a list with one outcome for each item, in their"
            " order, and an exception in the place of an item that failed"
        )


class ItemCancelled(BatchingError):
    """What the item was to be was cancelled by itself, not its batch; `__cause__` says by what."""

    def __init__(self) -> None:
        super().__init__("the item's own part of the batch was cancelled: retry it with Batcher.retry")


class BatcherClosed(BatchingError, RuntimeError):
    """The batcher's `async with` was left: an item that came now could wait for ever."""

    def __init__(self) -> None:
        super().__init__("the batcher's context was left: add items within `async with`, or enter it again")


class LoopGone(BatchingError, RuntimeError):
    """The batcher belongs to an event loop that is not the one that runs; `pending` items wait in it."""

    def __init__(self, pending: int) -> None:
        self.pending = pending
        super().__init__(
            f"the batcher belongs to another event loop, and {pending} items wait in it: make a Batcher for each loop, and"
            " add what is in pending_items to the new one"
        )
