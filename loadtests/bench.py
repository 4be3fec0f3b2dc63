"""One real server over one new database, and both sides of its cells."""

import functools
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import psutil

from loadtests.database import count_rows, create_tables, fresh_database, postmaster
from loadtests.errors import CountError
from loadtests.grid import WARM_UP_BATCH, Grid
from loadtests.items import SHAPES, Item, make_items, stored_before
from loadtests.loader import Loader, Plan
from loadtests.measure import Outcome
from loadtests.results import Side
from loadtests.server import running_server
from loadtests.watch import Watch

SideName = Literal["ours", "ceiling"]
SIDES: tuple[SideName, ...] = ("ours", "ceiling")


class Bench:
    """Used as a context manager: database, tables and server are there inside, and gone afterwards."""

    def __init__(self, grid: Grid, dsn: str, loader: Loader, shape: str, workers: int) -> None:
        self._grid = grid
        self._root = dsn
        self._loader = loader
        self._shape = SHAPES[shape]
        self._workers = workers
        self._stack = ExitStack()
        self._dsn = ""
        self._url = ""
        self._parts: dict[str, psutil.Process | None] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._dsn = stack.enter_context(fresh_database(self._root))
            for size in self._grid.batch_sizes:
                tables = [_table(side, size) for side in SIDES]
                create_tables(self._dsn, self._shape, tables, self._stored(size))
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
            modes = {_table("ours", size): self._grid.mode for size in self._grid.batch_sizes}
            server = stack.enter_context(running_server(directory, dsn=self._dsn, workers=self._workers, modes=modes))
            self._url = server.url
            self._parts = {
                "server": psutil.Process(server.pid),
                "postgres": postmaster(self._dsn),
                "loader": psutil.Process(self._loader.pid),
            }
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)

    def measure(self, side: SideName, size: int) -> Side:
        """One side of one cell, once, into its own table. Raises `CountError` where that does not add up."""
        grid = self._grid
        table = _table(side, size)
        plan = Plan(
            way="http" if side == "ours" else "copy",
            address=self._url if side == "ours" else self._dsn,
            table=table,
            shape=self._shape.name,
            mode=grid.mode,
            batch_size=size,
            connections=grid.in_flight if side == "ours" else self._workers,
            items=grid.items_of(size),
            warm_up=grid.warm_up,
            warm_up_batch=WARM_UP_BATCH,
            seed=grid.seed,
        )
        self._loader.prepare(plan)
        with Watch(self._parts, rss_of="server") as watch:
            outcome = self._loader.go()
        if side == "ours":
            self._check(outcome, size)
        _same(f"rows in {table}", grid.warm_up + grid.items_of(size), count_rows(self._dsn, table))
        return Side(outcome, watch.usage)

    def _check(self, outcome: Outcome, size: int) -> None:
        items = self._grid.items_of(size)
        stored = len(self._stored(size))
        unchanged = round(self._grid.unchanged * items)
        _same("items committed", items, outcome.items)
        _same("items unchanged", unchanged, outcome.unchanged)
        _same("items updated", stored - unchanged, outcome.updated)
        _same("items inserted", items - stored, outcome.inserted)

    def _stored(self, size: int) -> list[Item]:
        return _stored(self._grid, self._shape.name, size)


@functools.lru_cache(maxsize=8)
def _stored(grid: Grid, shape: str, size: int) -> list[Item]:
    """What the tables hold before."""
    if grid.changed + grid.unchanged == 0:
        return []
    timed = make_items(SHAPES[shape], grid.warm_up + grid.items_of(size), grid.seed)[grid.warm_up :]
    return stored_before(timed, changed=grid.changed, unchanged=grid.unchanged, seed=grid.seed)


def _table(side: SideName, size: int) -> str:
    return f"{side}_{size}"


def _same(what: str, expected: int, found: int) -> None:
    if expected != found:
        raise CountError(what=what, expected=expected, found=found)
