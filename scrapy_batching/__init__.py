"""Scrapy items into PostgreSQL in batches, through an ingestion server."""

from scrapy_batching.addon import Addon
from scrapy_batching.errors import (
    AsyncioMissing,
    BatchingError,
    ItemNotEncodable,
    Mistake,
    SettingsRefused,
    SpoolFailed,
)
from scrapy_batching.gate import BatchingGate
from scrapy_batching.pipeline import BatchingPipeline

__all__ = [
    "Addon",
    "AsyncioMissing",
    "BatchingError",
    "BatchingGate",
    "BatchingPipeline",
    "ItemNotEncodable",
    "Mistake",
    "SettingsRefused",
    "SpoolFailed",
]
__version__ = "0.1.0"
