"""`ingest-server audit` says the same as the count: nothing of a crawl is missing."""

import asyncio

from loadtests.faults.crawls import Run
from loadtests.faults.programs import Program
from loadtests.faults.world import World

_MOST = 2
_SECONDS = 60


async def audited(made: World) -> None:
    """The last crawls of the round; an audit that does not end with 0 is a breach."""
    made.now = "audit"
    runs = [
        run
        for slot in made.everyone
        for run in slot.runs
        if run.kind == "crawl" and not run.lost_power and run.witness.taken()
    ]
    await asyncio.gather(*(_audited(made, run) for run in runs[-_MOST:]))


async def _audited(made: World, run: Run) -> None:
    words = [
        *("audit", run.crawl, "--spool", str(made.spool), "--url", made.servers[0].url),
        *("--database", made.postgres.dsn(made.database), "--journal-dir", str(made.journal)),
    ]
    program = await Program.start(f"audit-{run.crawl}", "ingest_server", *words, place=made.directory)
    code = await program.end_by_itself(_SECONDS)
    if code != 0:
        made.breach(f"audit of {run.crawl} ended with exit code {code}: {program.tail()[-800:]}")
