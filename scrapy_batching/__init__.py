"""Scrapy items into PostgreSQL in batches, through an ingestion server; and `Batcher`, for calls of many items.

Each name is loaded when it is first asked for, so that `Batcher` needs no Scrapy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy_batching.addon import Addon
    from scrapy_batching.batching.batcher import Batcher
    from scrapy_batching.batching.result import BatchResult
    from scrapy_batching.errors import (
        AsyncioMissing,
        BatcherClosed,
        BatchingError,
        BatchSizeMismatch,
        ItemCancelled,
        ItemNotEncodable,
        ItemWithoutTable,
        LoopGone,
        Mistake,
        SettingsRefused,
        SpoolFailed,
        StartCheckFailed,
    )
    from scrapy_batching.gate import BatchingGate
    from scrapy_batching.pipeline import BatchingPipeline

__all__ = [
    "Addon",
    "AsyncioMissing",
    "BatchResult",
    "BatchSizeMismatch",
    "Batcher",
    "BatcherClosed",
    "BatchingError",
    "BatchingGate",
    "BatchingPipeline",
    "ItemCancelled",
    "ItemNotEncodable",
    "ItemWithoutTable",
    "LoopGone",
    "Mistake",
    "SettingsRefused",
    "SpoolFailed",
    "StartCheckFailed",
]
__version__ = "0.1.0"

_ROOMS = {
    "Addon": "addon",
    "BatchResult": "batching.result",
    "Batcher": "batching.batcher",
    "BatchingGate": "gate",
    "BatchingPipeline": "pipeline",
}
"""Where a public name lives; what is not here is an error's."""

if not TYPE_CHECKING:  # a checker would take every name for one of ours

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"{__name__}.{_ROOMS.get(name, 'errors')}"), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
