"""`scrapy batches send`: delivers what waits, without a crawl."""

import asyncio
from pathlib import Path
from typing import Any

from scrapy_batching.commands.output import in_batches, print_json
from scrapy_batching.commands.progress import Progress
from scrapy_batching.commands.status import total
from scrapy_batching.leftovers.sender import Leftovers
from scrapy_batching.leftovers.telemetry import LeftoverTelemetry
from scrapy_batching.spool.stock import take_stock
from scrapy_batching.wire.way import Way


def send_batches(spool: Path, way: Way, *, seconds: float | None, refused_too: bool, as_json: bool) -> int:
    """The exit code: 0, or 1 where something waits on that no living crawl holds."""
    progress = Progress()
    telemetry = LeftoverTelemetry(changed=progress.show)
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
    waiting = total(rows, "waiting")
    code = 1 if waiting["batches"] or ended else 0
    reason = "; ".join(filter(None, (ended, telemetry.problem))) if code else ""
    counts = telemetry.counts
    result = {
        "spool": str(spool),
        "delivered": {"batches": counts["batches/delivered"], "items": counts["items/delivered"]},
        "refused": {"batches": counts["batches/refused"], "items": counts["items/refused"]},
        "waiting": waiting,
        "in_use": total(rows, "in use"),
        "in_refused": total(rows, "refused"),
        "reason": reason,
    }
    if as_json:
        print_json(result)
    else:
        _print_result(result)
    return code


async def _sent(leftovers: Leftovers, seconds: float | None, refused_too: bool) -> None:
    async with asyncio.timeout(seconds):
        await leftovers.send(refused_too=refused_too)


def _print_result(result: dict[str, Any]) -> None:
    print(f"{in_batches(**result['delivered'])} delivered, {result['refused']['items']} items refused")
    if result["waiting"]["batches"] or result["reason"]:
        print(
            f"{in_batches(**result['waiting'])} wait in {result['spool']}:"
            f" {result['reason'] or 'look at the log'}\nnothing is lost: send them with `scrapy batches send`, or the next"
            " crawl does"
        )
    if result["in_use"]["batches"]:
        print(f"{result['in_use']['items']} items are held by a crawl, or by another sender, and are theirs to deliver")
    if result["in_refused"]["batches"]:
        print(
            f"{result['in_refused']['items']} items lie in {Path(result['spool']) / 'refused'}, each batch with its problem"
            " (scrapy batches status --ids, then show ID); when that is mended: scrapy batches send --refused"
        )
