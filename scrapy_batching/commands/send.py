"""`scrapy batches send`: delivers what waits, without a crawl."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scrapy_batching.commands.output import print_json, while_read
from scrapy_batching.commands.progress import Progress
from scrapy_batching.commands.status import total
from scrapy_batching.leftovers.sender import Leftovers
from scrapy_batching.leftovers.telemetry import LeftoverTelemetry
from scrapy_batching.spool.stock import take_stock
from scrapy_batching.wire.answers import ForLater
from scrapy_batching.wire.way import Way
from scrapy_batching.words import in_batches, in_items

_MOST_REASON = 200
_MOST_SAID = 5


class _Telemetry(LeftoverTelemetry):
    """Keeps for each table why it waits: the next one's reason would take its place."""

    def __init__(self, *, changed: Callable[[], None]) -> None:
        super().__init__(changed=changed)
        self.reasons: dict[str, str] = {}

    def waits(self, table: str, batches: int, items: int, why: ForLater) -> None:
        """As everywhere; the last reason of a table counts."""
        super().waits(table, batches, items, why)
        self.reasons[table] = _short(str(why.problem))


def send_batches(spool: Path, way: Way, *, seconds: float | None, refused_too: bool, as_json: bool) -> int:
    """The exit code: 0, or 1 where something waits on that no living crawl holds."""
    progress = Progress()
    telemetry = _Telemetry(changed=progress.show)
    progress.telemetry = telemetry
    ended = ""
    try:
        asyncio.run(_sent(Leftovers(spool, way, telemetry), seconds, refused_too))
    except TimeoutError:
        ended = f"the {seconds:g} s of --timeout are over"
    except KeyboardInterrupt:
        ended = "it was interrupted"
    progress.end()
    rows = take_stock(spool)
    waiting, in_refused = total(rows, "waiting"), total(rows, "refused")
    # What was refused is only left over where it was to be sent and the time was too short for it.
    code = 1 if waiting["batches"] or (ended and refused_too and in_refused["batches"]) else 0
    reason = _reason(ended, telemetry) if code else ""
    counts = telemetry.counts
    result = {
        "spool": str(spool),
        "delivered": {"batches": counts["batches/delivered"], "items": counts["items/delivered"]},
        "refused": {"batches": counts["batches/refused"], "items": counts["items/refused"]},
        "waiting": waiting,
        "in_use": total(rows, "in use"),
        "in_refused": in_refused,
        "reason": reason,
        "reasons": telemetry.reasons,
    }
    with while_read():
        if as_json:
            print_json(result)
        else:
            _print_result(result)
    return code


def _reason(ended: str, telemetry: _Telemetry) -> str:
    """In one line: each reason once, with the tables that it is of."""
    tables: dict[str, list[str]] = {}
    for table, reason in telemetry.reasons.items():
        tables.setdefault(reason, []).append(table)
    said = [
        f"{', '.join(named[:_MOST_SAID])}{' …' if len(named) > _MOST_SAID else ''}: {reason}"
        for reason, named in tables.items()
    ]
    more = [f"and {len(said) - _MOST_SAID} more reasons (--json has each table's)"] if len(said) > _MOST_SAID else []
    other = "" if any(reason in telemetry.problem for reason in tables) else _short(telemetry.problem)
    return "; ".join(filter(None, (ended, *said[:_MOST_SAID], *more, other)))


def _short(text: str) -> str:
    return text if len(text) <= _MOST_REASON else f"{text[:_MOST_REASON]}…"


async def _sent(leftovers: Leftovers, seconds: float | None, refused_too: bool) -> None:
    async with asyncio.timeout(seconds):
        await leftovers.send(refused_too=refused_too)


def _print_result(result: dict[str, Any]) -> None:
    print(f"{in_batches(**result['delivered'])} delivered, {in_items(result['refused']['items'])} refused")
    if not result["waiting"]["batches"] and result["reason"]:
        print(result["reason"])
    if result["waiting"]["batches"]:
        print(
            f"{in_batches(**result['waiting'])} wait in {result['spool']}:"
            f" {result['reason'] or 'look at the log'}\nnothing is lost: send them with `scrapy batches send`, or the next"
            " crawl does"
        )
    if result["in_use"]["batches"]:
        print(f"{in_items(result['in_use']['items'])} held by a crawl, or by another sender: theirs to deliver")
    if result["in_refused"]["batches"]:
        print(
            f"{in_items(result['in_refused']['items'])} in {Path(result['spool']) / 'refused'}, each batch with its problem"
            " (scrapy batches status --ids, then show ID); when that is mended: scrapy batches send --refused"
        )
