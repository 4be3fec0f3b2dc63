"""The loader: a process of its own that makes load, so that neither server nor progress bar share its interpreter.

`python -m loadtests.loader` reads plans from stdin and answers on stdout, one JSON object a line. For each plan: items
are built, the warm-up is sent, `{"ready": true}` is said; the next line on stdin (whatever it holds) starts the clock;
the outcome, or `{"failed": …}`, is said. The end of stdin ends it: it cannot outlive the run.
"""

import asyncio
import functools
import gc
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Literal, Self

import orjson

from loadtests import ceiling, driver
from loadtests.errors import PartError, RunError
from loadtests.items import SHAPES, Row, cut, line, make_items, row
from loadtests.measure import Outcome
from scrapy_batching.names import uuid7

_END_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """One side of one cell. `connections`: requests in flight (http) or database connections (copy).

    `items` are sent on the clock, in batches of `batch_size`; `warm_up` items before it, in small batches. The two
    sides of a cell differ in `way`, `address` (a URL or a DSN), `table` and `connections` only.
    """

    way: Literal["http", "copy"]
    address: str
    table: str
    shape: str
    mode: ceiling.Mode
    batch_size: int
    connections: int
    items: int
    warm_up: int
    warm_up_batch: int
    seed: int


class Loader:
    """The other end, in the run's own process; used as a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loadtests.loader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the run's, which ends this process
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if kind is not None:
            self._process.terminate()
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def prepare(self, plan: Plan) -> None:
        """Build the items and warm up; returns when only the clock has to be started."""
        self._say(asdict(plan))
        self._hear()

    def go(self) -> Outcome:
        """Start the clock, and return what happened. Raises `RunError` with the loader's reason."""
        self._say({"go": True})
        said = self._hear()
        return Outcome(**{**said, "latencies": tuple(said["latencies"])})

    def _say(self, line: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        heard = self._process.stdout.readline()
        if not heard:
            raise PartError(part="loader", said=f"it ended with exit code {self._process.wait(_END_SECONDS)}")
        said: dict[str, Any] = orjson.loads(heard)
        if "failed" in said:
            raise RunError(said["failed"])
        return said


@functools.lru_cache(maxsize=4)
def _lines(shape: str, count: int, seed: int) -> list[bytes]:
    return [line(item) for item in make_items(SHAPES[shape], count, seed)]


@functools.lru_cache(maxsize=4)
def _rows(shape: str, count: int, seed: int) -> list[Row]:
    return [row(SHAPES[shape], item) for item in make_items(SHAPES[shape], count, seed)]


async def carry_out(plan: Plan, gate: Callable[[], Awaitable[None]]) -> Outcome:
    """One side of one cell: everything is built before the gate."""
    source: list[Any] = (_lines if plan.way == "http" else _rows)(plan.shape, plan.warm_up + plan.items, plan.seed)
    warm_up = cut(source[: plan.warm_up], plan.warm_up_batch)
    timed = cut(source[plan.warm_up :], plan.batch_size)
    if plan.way == "copy":
        return await ceiling.fill(
            *(plan.address, plan.table, SHAPES[plan.shape], plan.mode, timed),
            warm_up=warm_up,
            connections=plan.connections,
            gate=gate,
        )
    return await driver.drive(
        *(plan.address, plan.table, [_batch(lines) for lines in timed]),
        warm_up=[_batch(lines) for lines in warm_up],
        in_flight=plan.connections,
        gate=gate,
    )


def _batch(lines: Sequence[bytes]) -> driver.Batch:
    return driver.Batch(str(uuid7()), b"".join(lines), len(lines))


async def _gate() -> None:
    gc.collect()
    gc.freeze()  # what was built before the clock is not looked through while it runs
    _answer({"ready": True})
    await asyncio.to_thread(sys.stdin.readline)


def _answer(said: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.flush()


def _serve() -> None:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        for told in sys.stdin:
            try:
                outcome = runner.run(carry_out(Plan(**orjson.loads(told)), _gate))
            except RunError as error:
                _answer({"failed": str(error)})
            else:
                _answer(asdict(outcome))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    _serve()
