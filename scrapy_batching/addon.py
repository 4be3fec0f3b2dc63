"""What a project's one line, `ADDONS = {"scrapy_batching.Addon": 500}`, switches on."""

from contextlib import suppress

from scrapy.exceptions import NotConfigured
from scrapy.settings import BaseSettings

from scrapy_batching.gate import BatchingGate
from scrapy_batching.pipeline import BatchingPipeline

PIPELINE_ORDER = 900
GATE_ORDER = 10


class Addon:
    """Adds the pipeline after a project's own ones, and the gate next to the engine, unless the project placed them."""

    def update_settings(self, settings: BaseSettings) -> None:
        """Called by Scrapy. Raises NotConfigured where `BATCHING_ENABLED` is False."""
        with suppress(ValueError):  # a value that is neither yes nor no: the pipeline refuses it, among all mistakes
            if not settings.getbool("BATCHING_ENABLED", True):
                raise NotConfigured
        settings.setdefault_in_component_priority_dict("ITEM_PIPELINES", BatchingPipeline, PIPELINE_ORDER)
        settings.setdefault_in_component_priority_dict("SPIDER_MIDDLEWARES", BatchingGate, GATE_ORDER)
