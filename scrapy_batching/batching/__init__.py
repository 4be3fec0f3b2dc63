"""Items gather here until they make a batch: the core, the pipeline's batches, and the public `Batcher`."""

from scrapy_batching.batching.asking import Process
from scrapy_batching.batching.batcher import Batcher
from scrapy_batching.batching.result import BatchResult

__all__ = ["BatchResult", "Batcher", "Process"]
