"""Faults of the journal's owners: a server that stands still is no dead one, and nobody takes its file."""

import asyncio
import random
import signal
from pathlib import Path

import psutil

from loadtests.faults.database import away
from loadtests.faults.fault import Fault
from loadtests.faults.needs import Needs
from loadtests.faults.servers import Server
from loadtests.faults.situations import journaled
from loadtests.faults.world import World

_LOOKS_SECONDS = 6.5
"""A server looks for files without an owner every five seconds."""


async def stop_owner(world: World, chance: random.Random) -> None:
    """One of two stands still with batches in its file; the other one starts anew, looks around, and must leave it alone."""
    owner, *others = world.servers
    async with world.changing_all():
        async with away(world):
            await journaled(world)
            owner.strike(signal.SIGSTOP)
            held = _held(owner)
        try:
            said = {}
            for other in others:
                other.strike(signal.SIGTERM)
                await other.gone()
                said[other] = len(_log(other))
                await other.start()
            await asyncio.sleep(_LOOKS_SECONDS + chance.uniform(0, 1))
            for other in others:
                for path in held:
                    # Its own file of before, or one of a server that was killed, it may adopt.
                    if not path.exists() or f"from the journal {path}" in _log(other)[said[other] :]:
                        world.breach(f"{other.name} adopted {path.name} of {owner.name}, which only stands still")
        finally:
            owner.strike(signal.SIGCONT)
            assert owner.program is not None
            owner.program.was_struck = False


def _held(server: Server) -> tuple[Path, ...]:
    """The journal files that a server has open."""
    assert server.program is not None
    opened = (Path(one.path) for one in psutil.Process(server.program.pid).open_files())
    held = tuple(path for path in opened if path.name.startswith("journal-") and path.suffix == ".sqlite3")
    assert held, f"{server.name} has no journal: {opened}"
    return held


def _log(server: Server) -> str:
    """What a server has said, from its first start on."""
    assert server.program is not None
    return server.program.log.read_text(errors="replace")


FAULTS = (Fault("owner-stop", stop_owner, Needs(servers=2)),)
