"""What a run does, decided by its seed before anything is started."""

import functools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadtests.faults.fault import Fault
from loadtests.faults.needs import Needs, NotPossible

_MIXED = (2, 3)
_FIRST, _LAST = 0.08, 0.9


@dataclass(frozen=True, slots=True)
class Moment:
    """A strike, when `share` of the round's items was taken."""

    share: float
    fault: Fault
    number: int

    def chance(self, seed: int) -> random.Random:
        """Its own, so that nothing but the seed decides, whatever else strikes at the same time."""
        return random.Random(f"{seed}/{self.fault.name}/{self.number}")


@dataclass(frozen=True, slots=True)
class Round:
    """One fault alone, or several in one world."""

    faults: tuple[Fault, ...]
    seed: int
    items: int
    strikes: int = 1
    """Each fault's own number of strikes is taken so often."""
    more: str = ""
    """Further words of the command line that it depends on."""

    @property
    def name(self) -> str:
        return self.faults[0].name if len(self.faults) == 1 else "mixed"

    @property
    def again(self) -> str:
        """The command that runs this round, and only this one."""
        words = " ".join(f"--fault {fault.name}" for fault in self.faults)
        mixed = "--mixed " if len(self.faults) > 1 else ""
        strikes = f" --strikes {self.strikes}" if self.strikes > 1 else ""
        return f"python -m loadtests faults {words} {mixed}--seed {self.seed} --items {self.items}{strikes}{self.more}"

    def moments(self) -> list[Moment]:
        """In order of time; one in ten strikes when all is yielded and only the rest is under way."""
        chance = random.Random(f"{self.seed}/{'+'.join(sorted(fault.name for fault in self.faults))}")
        found = []
        for fault in sorted(self.faults, key=lambda one: one.name):
            for number in range(fault.strikes * self.strikes):
                share = 1.0 if chance.random() < 0.1 else chance.uniform(_FIRST, _LAST)
                found.append(Moment(share, fault, number))
        return sorted(found, key=lambda one: (one.share, one.fault.name, one.number))


def rounds(
    faults: Sequence[Fault], *, seed: int, items: int, strikes: int, mixed: bool, endless: bool, more: str = ""
) -> Iterator[Round]:
    """Each fault once alone (or, with `mixed`, all of them in one round); then, where `endless`, ever other mixtures.

    The first round of each fault has the run's own seed, so that a round's command runs that very round.
    """
    if mixed:
        yield Round(tuple(faults), seed, items, strikes, more)
    else:
        for fault in faults:
            yield Round((fault,), seed, items, strikes, more)
    chance = random.Random(f"mixtures/{seed}")
    while endless:
        seed += 1
        if len(faults) == 1 or mixed:
            yield Round(tuple(faults), seed, items, strikes, more)
        else:
            yield Round(_mixture(faults, chance), seed, items, strikes, more)


def _mixture(faults: Sequence[Fault], chance: random.Random) -> tuple[Fault, ...]:
    """Two or three that one world can serve."""
    mixable = [fault for fault in faults if not fault.is_alone] or list(faults)
    while True:
        chosen = tuple(chance.sample(mixable, min(chance.choice(_MIXED), len(mixable))))
        try:
            functools.reduce(Needs.and_, (fault.needs for fault in chosen))
        except NotPossible:
            continue
        return chosen
