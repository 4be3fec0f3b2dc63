"""A small result of a run that never was."""

import dataclasses
import random

from loadtests.grid import Grid
from loadtests.measure import Outcome
from loadtests.results import Place, Result, Side, cell
from loadtests.watch import Usage


def side(chance, *, rate, postgres=True):
    cpu = {"server": 0.03, "loader": 0.01} | ({"postgres": 0.02} if postgres else {})
    seconds = 1000 / (rate * chance.uniform(0.8, 1.2))
    return Side(Outcome(seconds, tuple(chance.random() for _ in range(10)), 1000, 1000), Usage(cpu, 90 * 2**20))


def result(*, shapes=("wide",), workers=(1, 2), sizes=(10, 100), mode="append", postgres=True):
    chance = random.Random(7)
    cells = []
    for shape in shapes:
        for number in workers:
            for size in sizes:
                ours = [side(chance, rate=9_000 * number, postgres=postgres) for _ in range(3)]
                ceiling = [side(chance, rate=20_000 * number, postgres=postgres) for _ in range(3)]
                cells.append(cell(Place(shape, number, size), ours, ceiling))
    return Result(
        scenario="ingest",
        mode=mode,
        date="2026-11-22T00:00:00+00:00",
        seconds=12.5,
        seed=1,
        arguments=dataclasses.asdict(Grid(workers=workers, batch_sizes=sizes, shapes=shapes)),
        machine={"cpu": "a <fast> one & more", "cores": 4, "memory_bytes": 2**34, "load_average": 0.5},
        versions={"python": "3.11.7", "postgres": "18.4"},
        cells=tuple(cells),
    )
