"""What a project has that settings name by import path."""

import scrapy


class Book(scrapy.Item):
    pass


class BookSpider(scrapy.Spider):
    name = "books"


def by_kind(item):
    return item["kind"]


def by_two(item, other):
    return other


async def by_waiting(item):
    return "books"


class OnlyDicts:
    def __init__(self, feed_options):
        self.feed_options = feed_options

    def accepts(self, item):
        return isinstance(item, dict)


class NeedsAFormat(OnlyDicts):
    def __init__(self, feed_options):
        super().__init__(feed_options["format"])


class WithoutAccepts:
    pass


class Waits(OnlyDicts):
    async def accepts(self, item):
        return False


class Asks(OnlyDicts):
    def accepts(self):
        return False
