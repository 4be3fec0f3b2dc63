"""The demo's plot: a server with its own PostgreSQL, a site, two crawls, and one line of figures that must agree."""

import argparse
import asyncio
import io
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import aiohttp
from rich.console import Console

from spiders.demo import tables
from spiders.demo.crawls import Server, crawl
from spiders.demo.figures import Figures, Look, disagreements, figures
from spiders.demo.programs import ProgramError, log, serving
from spiders.demo.show import Progress, console, show_prices, show_reasons, show_rows
from spiders.demo.workplace import Workplace, workplace
from spiders.listings import listings, sound

_SEED = 7
_CRAWLS = ("first-crawl", "second-crawl")


@dataclass(frozen=True)
class Outcome:
    """What the demo found."""

    looks: Sequence[Look]
    reasons: Sequence[tables.Reason]

    @property
    def figures(self) -> Figures:
        return figures(self.looks)

    @property
    def disagreements(self) -> list[str]:
        return [sentence for look in self.looks for sentence in disagreements(look)]


async def demo(place: Workplace, count: int, shown: Console) -> Outcome:
    """Both crawls, from starting the server to ending it."""
    server_words = ("ingest_server", "run", "--port", "0", "--data-dir", str(place.data), "--tables", "spiders.models")
    site_words = ("spiders.site", "--port", "0", "--listings", str(count), "--seed", str(_SEED))
    shown.print(f"starting PostgreSQL, the ingestion server and the sample site in {place.directory}", soft_wrap=True)
    async with (
        serving("server", *server_words, place=place.directory) as server_url,
        serving("site", *site_words, place=place.directory) as site_url,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http,
    ):
        server = Server(http, server_url, log("server", place.directory))
        looks: list[Look] = []
        reasons: list[tables.Reason] = []
        for round_, name in enumerate(_CRAWLS):
            async with http.post(f"{site_url}/round/{round_}") as answer:
                answer.raise_for_status()
            before = looks[-1].after if looks else {}
            with Progress(shown, name.replace("-", " "), count) as progress:
                crawled = await crawl(name, site=site_url, server=server, place=place, progress=progress)
            found = await tables.reasons(place.dsn, name)
            reasons += found
            looks.append(
                Look(
                    crawl=name,
                    stats=crawled.stats,
                    totals=crawled.totals,
                    letters=sum(reason.items for reason in found),
                    before=before,
                    after=await tables.properties(place.dsn),
                    truth=sound(listings(count=count, seed=_SEED, round=round_)),
                    spooled=place.spooled(),
                )
            )
    return Outcome(looks, tables.merged(reasons))


def show(outcome: Outcome, shown: Console) -> None:
    """What a person wants to see before the last line."""
    show_rows(shown, outcome.looks[-1])
    show_prices(shown, outcome.looks[-1])
    show_reasons(shown, outcome.reasons)


def as_json(outcome: Outcome, seconds: float) -> str:
    """The figures for a program."""
    found = outcome.figures
    crawls = [{"crawl": look.crawl, "scraped": look.scraped, **look.totals} for look in outcome.looks]
    return json.dumps(
        {
            **asdict(found),
            "lost": found.lost,
            "rows": len(outcome.looks[-1].after),
            "crawls": crawls,
            "dead_letters": [asdict(reason) for reason in outcome.reasons],
            "disagreements": outcome.disagreements,
            "seconds": round(seconds, 1),
        },
        default=str,
    )


async def run(options: argparse.Namespace) -> int:
    """Run the demo and say what came of it; the exit code."""
    began = time.monotonic()
    shown, complaints = console(stderr=options.json), console(stderr=True)
    with workplace(keep=options.keep) as place:
        try:
            outcome = await demo(place, options.listings, shown)
        except ProgramError as failure:
            complaints.print(f"the demo failed: {failure}", markup=False, soft_wrap=True)
            return 1
        finally:
            if options.keep:
                shown.print(place.how_to_look(), markup=False, soft_wrap=True)
    if not options.json:
        show(outcome, shown)
    for sentence in outcome.disagreements:
        complaints.print(f"the figures disagree: {sentence}", markup=False, soft_wrap=True)
    print(as_json(outcome, time.monotonic() - began) if options.json else outcome.figures, flush=True)
    return 1 if outcome.disagreements or outcome.figures.lost else 0


async def interruptible(options: argparse.Namespace) -> int:
    """The first Ctrl-C or SIGTERM stops everything in order; further ones do not disturb that."""
    loop = asyncio.get_running_loop()
    running = asyncio.create_task(run(options), name="demo")
    stopped: list[int] = []

    def stop(number: int) -> None:
        if not stopped:
            stopped.append(number)
            running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # What was ignored when we came (nohup, a shell's background) stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop, number)
    try:
        return await running
    except asyncio.CancelledError:
        if not stopped:
            raise
        print("stopped; nothing is left running", file=sys.stderr)
        return 128 + stopped[0]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m spiders.demo",
        description="Crawl a sample site twice into a PostgreSQL of its own, and show that nothing was lost.",
    )
    parser.add_argument(
        "--listings", type=_at_least_one, default=1000, help="how many properties (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="the figures as JSON on standard output, and nothing else")
    parser.add_argument("--keep", action="store_true", help="keep the directory, and say how to look at it")
    options = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may not know `·`
    raise SystemExit(asyncio.run(interruptible(options)))


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    main()
