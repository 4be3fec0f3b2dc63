"""A run of the scenario `pipeline` that never was."""

import random

from loadtests.pipeline.plan import Crawl, Plan
from loadtests.pipeline.results import Run, result_of

MICROS = {"none": 38, "empty": 40, "ours": 42, "feed": 80, "psycopg": 600, "asyncpg": 250}


def plan(**changes):
    return Plan(**{"items": (100,), "pages": 50, "rounds": 3, **changes})


def runs(measured, micros=MICROS):
    """Every round is as slow as chance decides, for all contenders alike; they stand in any order."""
    chance = random.Random(3)
    found = []
    for number in range(1, measured.rounds + 1):
        for place in measured.places:
            slow = chance.uniform(0.5, 2) / 1e6
            for contender in chance.sample(measured.contenders, k=len(measured.contenders)):
                items = measured.items_of(place, contender)
                seconds = micros[contender] * items * slow
                found.append(Run(number, place, contender, Crawl(items, seconds, seconds, 0.0, "finished", 0)))
    chance.shuffle(found)
    return found


def result(micros=MICROS, **changes):
    measured = plan(**changes)
    return result_of(
        runs(measured, micros),
        measured,
        date="2026-11-22T00:00:00+00:00",
        seconds=12.5,
        machine={"cpu": "a <fast> one & more", "cores": 4},
        versions={"python": "3.11.7", "postgres": "18.4"},
    )
