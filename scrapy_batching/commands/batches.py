"""`scrapy batches`: what crawls left in the spool, seen and sent by a person."""

import argparse
import math
from pathlib import Path

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError
from scrapy.utils.log import configure_logging

from scrapy_batching.assembly import way_to
from scrapy_batching.commands.output import say, while_read
from scrapy_batching.commands.send import send_batches
from scrapy_batching.commands.show import show_batch
from scrapy_batching.commands.status import show_status
from scrapy_batching.errors import SettingsRefused
from scrapy_batching.settings.options import Settings
from scrapy_batching.settings.places import spool_directory
from scrapy_batching.settings.reading import read_settings

_ITEMS = 3
_TAKEN_BY = {"ids": "status", "items": "show", "refused": "send", "timeout": "send"}
"""Options that one subcommand takes."""


class Command(ScrapyCommand):
    """Shows and sends what lies in the spool. Needs no project; takes the settings that a crawl takes."""

    requires_project = False
    requires_crawler_process = False

    def syntax(self) -> str:
        """What follows the command's name."""
        return "[options] status|send|show ID"

    def short_desc(self) -> str:
        """One line for `scrapy -h`."""
        return "Show or send the batches that crawls left in the spool"

    def long_desc(self) -> str:
        """What `scrapy batches -h` says."""
        return (
            "`status` shows what lies in the spool, `show ID` one batch of it (its id, or the beginning of it) with its first"
            " items and the reason why it was refused; both change nothing. `send` delivers what waits, oldest first and under"
            " the same names; it leaves alone what a living crawl holds, and may be ended at any moment without loss. Exit code"
            " of `status` 0; of `show` 1 when there is no such batch; of `send` 0 when nothing waits any more, 1 when something"
            " does, where what a living crawl holds does not count; of all 2 for a mistake in the command or the settings."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """The options of all three."""
        super().add_options(parser)
        parser.add_argument(
            "--json",
            action="store_true",
            help="write the result as JSON; show: as NDJSON, first the batch, then its items",
        )
        parser.add_argument("--ids", action="store_true", help="status: one row for each batch, with its id")
        parser.add_argument("--items", type=int, metavar="N", help=f"show: the first N items (default {_ITEMS})")
        parser.add_argument("--refused", action="store_true", help="send: what the server refused for good, too")
        parser.add_argument("--timeout", type=float, metavar="SECONDS", help="send: give up after so long")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Called by Scrapy. Sets the exit code."""
        assert self.settings is not None
        _require_sense(args, opts)
        if opts.loglevel or opts.logfile:
            configure_logging(self.settings)
        try:
            settings = read_settings(self.settings)
        except SettingsRefused as error:
            say(str(error))
            self.exitcode = 2
            return
        spool = spool_directory(settings, self.settings)
        if not spool.is_dir():
            say(
                f"batching: there is no directory {spool.absolute()}. If a crawl left something, its spool is another one:"
                " take the crawl's settings (JOBDIR, BATCHING_SPOOL_DIR, its project)"
            )
        self.exitcode = _done(args, opts, spool, settings)


def _require_sense(args: list[str], opts: argparse.Namespace) -> None:
    match args:
        case ["status"] | ["send"]:
            pass
        case ["show", beginning] if beginning.strip():
            pass
        case ["show", *more]:
            said = "one batch at a time" if len(more) > 1 else "the id is missing"
            raise UsageError(f"{said}: write `scrapy batches show ID`; `scrapy batches status --ids` shows the ids")
        case _:
            said = f"unknown: {' '.join(args)}" if args else "nothing was asked for"
            raise UsageError(
                f"{said}; write `scrapy batches status`, `scrapy batches send` or `scrapy batches show ID`"
            )

    for name, command in _TAKEN_BY.items():
        if getattr(opts, name) not in (None, False) and args[0] != command:
            raise UsageError(f"`{args[0]}` takes no --{name}: leave it out; it is for `scrapy batches {command}`")
    if opts.items is not None and opts.items < 0:
        raise UsageError(f"--items {opts.items}: write 0 or a larger number")
    if opts.timeout is not None and not 0 <= opts.timeout < math.inf:
        raise UsageError(f"--timeout {opts.timeout:g}: write 0 or a larger number of seconds, not inf or nan")


def _done(args: list[str], opts: argparse.Namespace, spool: Path, settings: Settings) -> int:
    match args:
        case ["status"]:
            with while_read():
                show_status(spool, ids=opts.ids, as_json=opts.json)
            return 0
        case ["show", beginning]:
            items = _ITEMS if opts.items is None else opts.items
            return show_batch(spool, beginning.strip(), items=items, as_json=opts.json)
        case _:
            way = way_to(settings, crawl="")
            return send_batches(spool, way, seconds=opts.timeout, refused_too=opts.refused, as_json=opts.json)
