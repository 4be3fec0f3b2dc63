"""A soak that never was."""

import random

from loadtests.soak.plan import Kind
from loadtests.soak.results import Check, Done, Result, Samples
from loadtests.soak.verdict import MIB, SERIES, judge

LEVELS = {"B": 80.0 * MIB, "": 20.0}


def samples(*, seconds=600, leaking=(), away=(300, 310)):
    """One a second; a leaking series doubles over the run."""
    chance = random.Random(3)
    made = Samples()
    for at in range(seconds + 1):
        values = {}
        for one in SERIES:
            level = LEVELS[one.unit] * chance.uniform(0.98, 1.02)
            values[one.name] = level * (1 + at / seconds) if one.name in leaking else level
        if away[0] <= at < away[1]:
            values["connections"] = None
        made.add(float(at), values)
    return made


def result(*, leaking=(), lost=0, seconds=600, ended=""):
    taken = samples(seconds=seconds, leaking=leaking)
    return Result(
        scenario="soak",
        date="2026-11-22T00:00:00+00:00",
        seconds=float(seconds),
        seed=1,
        arguments={"minutes": seconds / 60, "rate": 3000.0},
        machine={"cpu": "a <fast> one & more", "cores": 4},
        versions={"python": "3.11.7", "postgres": "18.4"},
        items=1_800_000,
        ended=ended,
        verdicts=tuple(judge(one, taken.at, taken.series[one.name]) for one in SERIES),
        checks=(Check("long crawl: missing", 0, lost), Check("spool: batches left", 0, 0)),
        faults=(Done(100.0, Kind.terminate, 0.1, "one of 4"), Done(300.0, Kind.kill, 10.0, "away for 9.0 s")),
        samples=taken,
    )
