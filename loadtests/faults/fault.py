"""What a fault is: a name, the set-up it needs, and a strike that hurts and heals."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from loadtests.faults.needs import NOTHING, Needs
from loadtests.faults.world import World

Strike = Callable[[World, random.Random], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """`strike` returns when what it broke is on its way up again. `strikes` is how often a short round has it."""

    name: str
    strike: Strike
    needs: Needs = NOTHING
    strikes: int = 1
    is_alone: bool = False
    """Whether it has no place in a mixture."""
