"""Yields the places of a list, each looked up with an API that takes 50 names a call."""

import json
from collections.abc import AsyncIterator
from typing import Any

import scrapy
from scrapy.http import JsonRequest, Response

from scrapy_batching import Batcher, BatchResult


class PlacesSpider(scrapy.Spider):
    """`site` is the list's URL, `api` that of the look-ups."""

    name = "places"

    def __init__(self, site: str, api: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start_urls = [site]
        self.api = api
        self.batcher = Batcher(self.look_up, batch_size=50)

    async def look_up(self, names: list[str]) -> list[dict[str, Any]]:
        """Asked by Scrapy's own downloader: its delay and its limits hold here too."""
        assert self.crawler.engine is not None
        response = await self.crawler.engine.download_async(JsonRequest(self.api, data=names, dont_filter=True))
        if response.status != 200:
            raise OSError(f"the API answered {response.status}")
        found: list[dict[str, Any]] = json.loads(response.body)
        return found

    async def parse(self, response: Response) -> AsyncIterator[Any]:
        """What a full batch brought is yielded by whoever filled it, the rest by whoever comes to the end of a page."""
        for name in response.css("li::text").getall():
            for place in self.taken(await self.batcher.add(name)):
                yield place
        for href in response.css("a.next::attr(href)").getall():
            yield response.follow(href)
        for place in self.taken(await self.batcher.flush()):
            yield place

    def taken(self, result: BatchResult[dict[str, Any]] | None) -> list[dict[str, Any]]:
        """The places; what failed is logged."""
        if result is None:
            return []
        for name, error in result.failed:
            self.logger.error("%s was not found: %r", name, error)
        return result.successful
