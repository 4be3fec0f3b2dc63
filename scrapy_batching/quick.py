"""The quick road: most items go from `process_item` into the file of their batch in one call of Python's.

Whatever is not plain goes the usual road instead: what begins or fills a batch, what has no form as JSON or not quite,
what the disk did not take, and everything where lines do not go into a file. Both roads leave the same behind.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson

from scrapy_batching.batching.lines import OpenBatches
from scrapy_batching.items.encode import OPTIONS, Encoder
from scrapy_batching.water import Water

_LF = ord("\n")


class Counter(Protocol):
    """Who counts what was taken."""

    enqueued: int


def quick_road(
    *,
    encoder: Encoder,
    fixed: Mapping[type, str],
    batches: OpenBatches,
    water: Water,
    counter: Counter,
    usual: Callable[[Any], None],
    keep: Callable[[str, bytes], None],
    rose: Callable[[], None],
) -> Callable[[Any], None]:
    """Takes an item as `usual` would. `keep` takes a line that was counted already; `rose`: the water has become high."""
    # Names of this function, and not attributes: in a crawl each of them costs more than a benchmark alone shows.
    dumps, write, options = orjson.dumps, os.write, OPTIONS | orjson.OPT_APPEND_NEWLINE
    default, causes, readers, wrote_nan = encoder.default, encoder.causes, encoder.items, encoder.wrote_nan
    table_of, growing = fixed.get, batches.growing
    most_items, most_bytes = batches.most_items, batches.most_bytes
    level, memory = water.levels
    has_risen = water.has_risen

    def take(item: Any) -> None:
        kind = type(item)
        table = table_of(kind)
        one = growing(table)
        if one is None or (file := one.file) is None or file.descriptor < 0:
            usual(item)
            return
        try:
            fields = item if kind is dict else readers[kind](item)  # type: ignore[misc]
            line = dumps(fields, default, options)
            is_odd = causes or (line.rfind(b"null") >= 0 and wrote_nan(fields, line))
        except Exception:
            is_odd = True
        # A line break within: an orjson.Fragment, written unseen.
        if is_odd or line.find(_LF) + 1 != (size := len(line)):
            causes.clear()
            usual(item)
            return
        counter.enqueued += 1
        total, grown = one.total + 1, one.size + size
        if total < most_items and grown < most_bytes:
            try:
                is_written = write(file.descriptor, line) == size
            except OSError:
                is_written = False
            if is_written:
                one.total = file.total = total
                one.size = file.size = grown
                level.items = items = level.items + 1
                level.size = waiting = level.size + size
                if (items >= level.high_items or waiting >= level.high_size or memory.items) and has_risen():
                    rose()
                return
            file.cut_off()
        assert table is not None
        keep(table, line[:-1])

    return take
