"""`python -m loadtests SCENARIO`: a scenario is one file, and one line here."""

import signal
import sys

import typer

from loadtests.corpora.scenario import corpora
from loadtests.faults.command import faults
from loadtests.hostile.scenario import hostile
from loadtests.ingest import ingest
from loadtests.isolation.scenario import isolation
from loadtests.outages.scenario import outages
from loadtests.pipeline.scenario import pipeline
from loadtests.soak.scenario import soak

app = typer.Typer(
    help="Load scenarios against a real server and a real PostgreSQL, on loopback; each stops all that it started.",
    no_args_is_help=True,
    add_completion=False,
)
app.command()(ingest)
app.command()(faults)
app.command()(soak)
app.command()(pipeline)
app.command()(isolation)
app.command()(corpora)
app.command()(hostile)
app.command()(outages)


def main() -> None:
    # SIGTERM ends a run as Ctrl-C does: everything that was started is stopped on the way out
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    app(prog_name="python -m loadtests")


if __name__ == "__main__":
    main()
