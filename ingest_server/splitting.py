"""Large bodies, cut into their items step by step: see `ingest_server.turns`. Small ones are cut at once."""

import re
from collections.abc import AsyncIterator

from ingest_server.errors import TooLarge
from ingest_server.model import Form
from ingest_server.turns import STEP_BYTES, Breath, turn
from ingest_server.wire import BOM, lines_of, split, too_many

_SMALL_BYTES = 2**20
_BLANK = b" \t\r\n"
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_STRINGS_A_STEP = 5000


async def split_in_turns(
    body: bytes, form: Form, most: int | None = None, item_bytes: int | None = None
) -> list[bytes]:
    """What `wire.split` gives, while others get their turns. Raises what it raises, and `TooLarge` for one item of more bytes."""
    if form != "ndjson" or len(body) <= _SMALL_BYTES:
        if len(body) > _SMALL_BYTES:
            await turn()
        items = split(body, form, most)
    else:
        items = []
        async for window in _windows(body, item_bytes):
            items += lines_of(window)
            if most is not None and len(items) > most:
                raise too_many(most)
    if item_bytes is not None and items:
        _check_item(max(map(len, items)), item_bytes)
    return items


async def check_values(items: list[bytes], *, item_values: int, batch_values: int) -> None:
    """Raise `TooLarge` where one item, or all together, have more values than that.

    A value of two bytes becomes an object of a hundred. Values are counted as the commas that stand outside of texts.
    """
    size = sum(map(len, items))
    if size <= min(item_values, batch_values):
        return
    total, breath = 0, Breath(size)
    for item in items:
        if breath.is_due(len(item)):
            await breath.take()
        commas = item.count(b",")
        if commas > item_values or total + commas > batch_values:
            commas = await _values(item, min(item_values, batch_values - total))
        if commas > item_values:
            raise _too_many_values("an item", item_values, "item_values")
        total += commas
        if total > batch_values:
            raise _too_many_values("the batch", batch_values, "batch_values")


def _too_many_values(what: str, limit: int, unit: str) -> TooLarge:
    return TooLarge(f"{what} has more than {limit} values", limit=limit, limit_unit=unit)


async def _values(item: bytes, enough: int) -> int:
    """The commas outside of texts, or the first so many and one."""
    found = last = 0
    for number, text in enumerate(_STRING.finditer(item), 1):
        found += item.count(b",", last, text.start())
        last = text.end()
        if found > enough:
            return found
        if number % _STRINGS_A_STEP == 0:
            await turn()
    return found + item.count(b",", last)


async def _windows(body: bytes, item_bytes: int | None) -> AsyncIterator[bytes]:
    """Stretches of whole lines, about a step long each; those that are blank are left out."""
    start = len(BOM) if body.startswith(BOM) else 0
    while start < len(body):
        await turn()
        end = body.find(b"\n", min(start + STEP_BYTES, len(body)))
        end = len(body) if end < 0 else end + 1
        if item_bytes is not None and end - start > STEP_BYTES + item_bytes:
            # the line that ends here began before the window's first step was over
            _check_item(end - start - STEP_BYTES, item_bytes)
        window = body[start:end]
        if window.strip(_BLANK):
            yield window
        start = end


def _check_item(size: int, limit: int) -> None:
    if size > limit:
        raise TooLarge(f"an item has {size} bytes, of at most {limit}", limit=limit, limit_unit="item_bytes")
