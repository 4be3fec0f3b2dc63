"""`scrapy batches`: what crawls left in the spool, listed and sent by a person."""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError
from scrapy.utils.log import configure_logging

from scrapy_batching.assembly import way_to
from scrapy_batching.errors import SettingsRefused
from scrapy_batching.leftovers.sender import Leftovers
from scrapy_batching.leftovers.telemetry import LeftoverTelemetry
from scrapy_batching.settings.options import Settings
from scrapy_batching.settings.places import spool_directory
from scrapy_batching.settings.reading import read_settings
from scrapy_batching.spool.stock import State, Stock, take_stock

_TELL_SECONDS = 0.2
_COLUMNS = ("run", "crawl", "spider", "since", "table", "batches", "items", "bytes", "state")


class Command(ScrapyCommand):
    """Lists and sends what lies in the spool. Needs no project; takes the settings that a crawl takes."""

    requires_project = False
    requires_crawler_process = False

    def syntax(self) -> str:
        """What follows the command's name."""
        return "[options] list|send"

    def short_desc(self) -> str:
        """One line for `scrapy -h`."""
        return "List or send the batches that crawls left in the spool"

    def long_desc(self) -> str:
        """What `scrapy batches -h` says."""
        return (
            "`list` shows what lies in the spool and changes nothing. `send` delivers what waits, oldest first and under the"
            " same names; it leaves alone what a living crawl holds, and may be ended at any moment without loss. Exit code of"
            " `list` 0; of `send` 0 when nothing waits any more, 1 when something does, where what a living crawl holds does"
            " not count; of both 2 for a mistake in the command or the settings."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """The options of both."""
        super().add_options(parser)
        parser.add_argument("--json", action="store_true", help="write the result as JSON")
        parser.add_argument("--refused", action="store_true", help="send: what the server refused for good, too")
        parser.add_argument("--timeout", type=float, metavar="SECONDS", help="send: give up after so long")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Called by Scrapy. Sets the exit code."""
        assert self.settings is not None
        if args not in (["list"], ["send"]):
            said = f"unknown: {' '.join(args)}" if args else "nothing was asked for"
            raise UsageError(f"{said}; write `scrapy batches list` or `scrapy batches send`")
        if opts.loglevel or opts.logfile:
            configure_logging(self.settings)
        try:
            settings = read_settings(self.settings)
        except SettingsRefused as error:
            _say(str(error))
            self.exitcode = 2
            return
        spool = spool_directory(settings, self.settings)
        if not spool.is_dir():
            _say(
                f"batching: there is no directory {spool.absolute()}. If a crawl left something, its spool is another one:"
                " take the crawl's settings (JOBDIR, BATCHING_SPOOL_DIR, its project)"
            )
        if args == ["list"]:
            _list(spool, as_json=opts.json)
        else:
            self.exitcode = _send(spool, settings, seconds=opts.timeout, refused_too=opts.refused, as_json=opts.json)


def _list(spool: Path, *, as_json: bool) -> None:
    rows = take_stock(spool)
    if as_json:
        _print_json({"spool": str(spool), "rows": [_row(one) for one in rows]})
    elif rows:
        cells = [_COLUMNS, *(_cells(one) for one in rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(_COLUMNS))]
        for row in cells:
            print("  ".join(map(str.ljust, row, widths)).rstrip())
        batches, items, size = (sum(getattr(one, name) for one in rows) for name in ("batches", "items", "size"))
        print(f"total: {_in_batches(items, batches)}, {size} bytes")
    else:
        print(f"nothing lies in {spool}")


def _send(spool: Path, settings: Settings, *, seconds: float | None, refused_too: bool, as_json: bool) -> int:
    """The exit code."""
    progress = _Progress()
    telemetry = LeftoverTelemetry(changed=progress.show)
    progress.telemetry = telemetry
    ended = ""
    try:
        asyncio.run(_sent(Leftovers(spool, way_to(settings, crawl=""), telemetry), seconds, refused_too))
    except TimeoutError:
        ended = f"the {seconds:g} s of --timeout are over"
    except KeyboardInterrupt:
        ended = "it was interrupted"
    progress.end()
    rows = take_stock(spool)
    waiting = _sum(rows, "waiting")
    code = 1 if waiting["batches"] or ended else 0
    reason = "; ".join(filter(None, (ended, telemetry.problem))) if code else ""
    counts = telemetry.counts
    result = {
        "spool": str(spool),
        "delivered": {"batches": counts["batches/delivered"], "items": counts["items/delivered"]},
        "refused": {"batches": counts["batches/refused"], "items": counts["items/refused"]},
        "waiting": waiting,
        "in_use": _sum(rows, "in use"),
        "in_refused": _sum(rows, "refused"),
        "reason": reason,
    }
    if as_json:
        _print_json(result)
    else:
        _print_result(result)
    return code


async def _sent(leftovers: Leftovers, seconds: float | None, refused_too: bool) -> None:
    async with asyncio.timeout(seconds):
        await leftovers.send(refused_too=refused_too)


def _print_result(result: dict[str, Any]) -> None:
    print(f"{_in_batches(**result['delivered'])} delivered, {result['refused']['items']} items refused")
    if result["waiting"]["batches"] or result["reason"]:
        print(
            f"{_in_batches(**result['waiting'])} wait in {result['spool']}:"
            f" {result['reason'] or 'look at the log'}\nnothing is lost: send them with `scrapy batches send`, or the next"
            " crawl does"
        )
    if result["in_use"]["batches"]:
        print(f"{result['in_use']['items']} items are held by a crawl, or by another sender, and are theirs to deliver")
    if result["in_refused"]["batches"]:
        print(
            f"{result['in_refused']['items']} items lie in {Path(result['spool']) / 'refused'}, each batch with its problem;"
            " when that is mended: scrapy batches send --refused"
        )


class _Progress:
    """One line on a terminal that is written over; elsewhere nothing."""

    telemetry: LeftoverTelemetry

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._last = 0.0

    def show(self) -> None:
        """Says how far it is, a few times a second at most."""
        if not self._is_shown or time.monotonic() - self._last < _TELL_SECONDS:
            return
        self._last = time.monotonic()
        counts, problem = self.telemetry.counts, self.telemetry.problem
        done = counts["items/delivered"] + counts["items/refused"]
        text = f"{done} of {counts['items/found']} items" + (f" · {problem}" if problem else "")
        sys.stderr.write(f"\r\x1b[K{text[:118]}")
        sys.stderr.flush()

    def end(self) -> None:
        """Takes the line away."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")


def _row(one: Stock) -> dict[str, Any]:
    row = asdict(one)
    row["bytes"] = row.pop("size")
    return row


def _cells(one: Stock) -> Sequence[str]:
    state = f"in use by pid {one.pid}" if one.state == "in use" else one.state
    since = one.since[:19].replace("T", " ")
    return (
        *(one.run or "-", one.crawl, one.spider or "-", since, one.table),
        *(str(one.batches), str(one.items), str(one.size), state),
    )


def _sum(rows: Iterable[Stock], state: State) -> dict[str, int]:
    ones = [one for one in rows if one.state == state]
    return {"batches": sum(one.batches for one in ones), "items": sum(one.items for one in ones)}


def _in_batches(items: int, batches: int) -> str:
    return f"{items} {'item' if items == 1 else 'items'} in {batches} {'batch' if batches == 1 else 'batches'}"


def _print_json(found: dict[str, Any]) -> None:
    print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


def _say(text: str) -> None:
    print(text, file=sys.stderr)
