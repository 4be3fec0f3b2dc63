"""What killed crawls left in the spool is sent, and then the spool is empty."""

from loadtests.faults.programs import Program
from loadtests.faults.world import World

_SEND_SECONDS = 90


async def deliver(made: World) -> None:
    """`scrapy batches send` for what is left; whatever lies in the spool afterwards is a breach."""
    made.now = "leftovers"
    left = left_in(made)
    if not left:
        return
    settings = {"BATCHING_URL": made.servers[0].url, "BATCHING_SPOOL_DIR": made.spool}
    words = [word for setting, value in settings.items() for word in ("-s", f"{setting}={value}")]
    program = await Program.start("leftovers", "scrapy", "batches", "send", *words, place=made.directory)
    code = await program.end_by_itself(_SEND_SECONDS)
    left = left_in(made)
    if code != 0 or left:
        made.breach(
            f"the spool keeps {len(left)} files, as {left[:3]}; batches send ended with {code}: {program.tail()[-500:]}"
        )


def left_in(made: World) -> list[str]:
    """Batches in the spool, refused ones too, by their paths in it."""
    return sorted(
        str(path.relative_to(made.spool)) for path in made.spool.rglob("*.ndjson") if path.name != "tally.ndjson"
    )
