"""The signals of the crawl's side, to be connected as Scrapy's own: `crawler.signals.connect(heard, signals.batch_failed)`.

They are sent from tasks of their own, soon after the fact and in its order; a handler may be a coroutine function. One that
raises is logged, and one that is slow holds nobody up. Where nobody is connected nothing is sent. Arguments in docs/stats.md.
"""

batch_delivered = object()
"""The server has a batch for good: spider, batch_id, table, items, size, dead_letters, seconds."""

batch_failed = object()
"""A batch is refused for good, stays on disk, or is lost: spider, batch_id, table, items, size, fate, reason, status, path."""

item_rejected = object()
"""An item has no form as JSON, or no table: item, exception, spider."""
