"""`scrapy batches show ID`: one batch, why it was refused, and its first items. Changes nothing."""

import sys
from pathlib import Path

import orjson

from scrapy_batching.commands.output import day_and_time, in_words, say, while_read
from scrapy_batching.commands.status import in_json
from scrapy_batching.spool.finding import Lying, lying

_MOST_LINE = 500
_MOST_IDS = 5


def show_batch(spool: Path, beginning: str, *, items: int, as_json: bool) -> int:
    """The exit code: 0, or 1 where not exactly one batch has an id that begins so."""
    found = lying(spool, beginning=beginning)
    # A batch that was refused a moment ago, by a process that was killed then, lies in both places.
    if len({one.id for one in found}) != 1:
        say(_not_one(spool, beginning, found))
        return 1
    one = found[-1]
    with while_read():
        if as_json:
            _write(orjson.dumps({"batch": in_json(one)}))
            for line in one.lines(items):
                _write(line)
        else:
            _print(one, items)
    return 0


def _not_one(spool: Path, beginning: str, found: list[Lying]) -> str:
    if not found:
        return (
            f"batching: no batch in {spool} has an id that begins with {beginning}: it is delivered by now, or lies in another"
            " spool; `scrapy batches status --ids` shows what is there"
        )
    ids = list(dict.fromkeys(one.id for one in found))
    more = f", and {len(ids) - _MOST_IDS} more" if len(ids) > _MOST_IDS else ""
    return f"batching: {len(ids)} batches begin with {beginning}, write more of it: {', '.join(ids[:_MOST_IDS])}{more}"


def _print(one: Lying, items: int) -> None:
    head = {
        "batch": one.id,
        "table": one.table,
        "crawl": one.crawl,
        "items": f"{one.items} in {one.size} bytes",
        "state": in_words(one.state, one.pid),
        "refused" if one.state == "refused" else "run since": day_and_time(one.since),
        "reason": one.reason,
        "sent to": one.url,
        "file": str(one.path),
    }
    for name, value in head.items():
        if value:
            print(f"{name + ':':<11}{value}")
    if one.state == "refused":
        print("mend the cause, then: scrapy batches send --refused")
    elif one.state == "waiting":
        print("the next crawl with this spool sends it, or: scrapy batches send")
    else:
        print("whoever holds it delivers it; it may grow, or go, while you look")
    for line in one.lines(items):
        text = line.decode(errors="replace")
        print(text if len(text) <= _MOST_LINE else f"{text[:_MOST_LINE]}… (--json shows the whole of it)")
    if one.items > items:
        print(f"… and {one.items - items} more: --items {one.items}")


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
