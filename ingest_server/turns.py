"""Work that holds the event loop, cut into steps: in each round of it one for what arrives, and one for what is written.

A probe, or somebody with a small batch, then waits for one step and not for all that two hundred others have to do. A
thread would not help: what takes long here holds the interpreter's lock.
"""

import asyncio
from collections import deque
from contextvars import ContextVar
from weakref import WeakKeyDictionary

STEP_BYTES = 256 * 1024
"""What one step may look at: about a millisecond."""
_STEP_ITEMS = 200
_LARGE_BYTES = 2**20


class _Line:
    """Who waits for a turn on one loop, in the order of their coming: so many go in each round of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self._loop = loop
        self._most = most
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taken = 0

    async def turn(self) -> None:
        if self._taken < self._most and not self._waiting:
            self._take()
            return
        mine = self._loop.create_future()
        self._waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._let_go(1)  # the turn had come already: it is the next one's
            raise

    def _take(self) -> None:
        if not self._taken:
            self._loop.call_soon(self._next)
        self._taken += 1

    def _next(self) -> None:
        self._taken = 0
        self._let_go(self._most)

    def _let_go(self, count: int) -> None:
        while self._waiting and count:
            one = self._waiting.popleft()
            if not one.done():
                self._take()
                one.set_result(None)
                count -= 1


class _Lines:
    """A line for each loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = WeakKeyDictionary()

    def of_this_loop(self) -> _Line:
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop)
        if line is None:
            line = self._lines[loop] = _Line(loop, self._most)
        return line


_STEPS, _WORKERS_STEPS, _REQUESTS, _UNWANTED = _Lines(1), _Lines(1), _Lines(8), _Lines(4)
_line_of_this_task: ContextVar[_Lines] = ContextVar("line", default=_STEPS)


def be_a_worker() -> None:
    """From now on this task's turns are the workers'.

    They have a line of their own: what was accepted must not wait behind hundreds of bodies that arrive, each step of it anew.
    """
    _line_of_this_task.set(_WORKERS_STEPS)


async def turn() -> None:
    """Return when this round of the loop is yours: one caller in each round, and one worker, in the order of their coming.

    What follows up to the next `await` is one step, and should take a few milliseconds at most.
    """
    await _line_of_this_task.get().of_this_loop().turn()


async def request_turn() -> None:
    """The same for requests that begin, a few in each round: a probe does not wait for a thousand of them."""
    await _REQUESTS.of_this_loop().turn()


async def unwanted_turn() -> None:
    """The same for bodies that are thrown away: they would be all that the loop reads."""
    await _UNWANTED.of_this_loop().turn()


class Breath:
    """Counts what a loop over items has done, and says when others should get their turn: `if is_due(…): await take()`."""

    __slots__ = ("_bytes", "_is_large", "_items")

    def __init__(self, size: int) -> None:
        """`size`: bytes of all items; who does little goes on as soon as the loop has turned, and stands in no line."""
        self._items = self._bytes = 0
        self._is_large = size > _LARGE_BYTES

    def is_due(self, size: int) -> bool:
        """Whether to breathe before an item of so many bytes."""
        self._items += 1
        self._bytes += size
        if self._items < _STEP_ITEMS and self._bytes < STEP_BYTES:
            return False
        self._items, self._bytes = 0, size
        return True

    async def take(self) -> None:
        """Let others go on."""
        await (turn() if self._is_large else asyncio.sleep(0))
