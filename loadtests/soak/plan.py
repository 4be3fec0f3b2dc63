"""What a run is: its arguments, and the faults that its seed gives it."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

_QUIET = 0.05  # of the run, before the first fault and after the last
_EARLY = 0.15


@dataclass(frozen=True, slots=True)
class Plan:
    """Times in seconds unless named otherwise, `rate` in items a second."""

    minutes: float = 30.0
    rate: float = 3000.0
    seed: int = 1
    interval: float = 1.0
    keys: int = 20_000
    bad_every: int = 1000
    short_every: float = 60.0
    short_rate: float = 100.0

    @property
    def seconds(self) -> float:
        return self.minutes * 60


class Kind(StrEnum):
    """What a fault does."""

    terminate = "terminate"
    reset = "reset"
    slow = "slow"
    freeze = "freeze"
    kill = "kill"
    crawl = "crawl"


SAYS = {
    Kind.terminate: "one of the server's connections is ended by pg_terminate_backend",
    Kind.reset: "eight HTTP clients send half a request and reset the connection",
    Kind.slow: "four HTTP clients send a header or a body byte by byte, and give up",
    Kind.freeze: "PostgreSQL is stopped with SIGSTOP for some seconds",
    Kind.kill: "PostgreSQL is killed with SIGKILL and started again some seconds later",
    Kind.crawl: "a short crawl is killed with SIGKILL",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the plan: seconds from the start, and how long it lasts."""

    at: float
    kind: Kind
    lasts: float


# kind: seconds between two, seconds that one lasts, each from and to
_RHYTHM: dict[Kind, tuple[tuple[float, float], tuple[float, float]]] = {
    Kind.terminate: ((5, 15), (0, 0)),
    Kind.reset: ((20, 40), (0, 0)),
    Kind.slow: ((30, 60), (3, 6)),
    Kind.freeze: ((60, 120), (2, 6)),
    Kind.kill: ((180, 300), (5, 15)),
}


def faults(seconds: float, seed: int) -> tuple[Fault, ...]:
    """The faults of a run in order; each kind once at least: in a short run they come closer and last less long."""
    found = [fault for kind in _RHYTHM for fault in _of_kind(kind, seconds, random.Random(f"{kind.value}/{seed}"))]
    return tuple(sorted(found, key=lambda fault: fault.at))


def _of_kind(kind: Kind, seconds: float, chance: random.Random) -> Iterator[Fault]:
    (least, most), (short, long) = _RHYTHM[kind]
    first, last = _QUIET * seconds, (1 - _QUIET) * seconds
    shrink = min(1.0, (last - first) / (1.5 * most))
    # The first comes early: what an outage makes a program take once must not look like growth.
    at = first + chance.uniform(0, min(shrink * most, _EARLY * seconds))
    while at < last:
        yield Fault(at, kind, shrink * chance.uniform(short, long))
        at += shrink * chance.uniform(least, most)
