"""The one timer of the house: closes what came of age, never spins, and goes on after a defect."""

import asyncio
from collections.abc import Callable
from typing import Protocol

LEAST_SECONDS = 0.01
"""Between two looks: a clock that stands still would turn the loop into a spinning one."""


class Handle(Protocol):
    """What can still be called off."""

    def cancel(self) -> None:
        """It is not done any more."""


Later = Callable[[float, Callable[[], None]], Handle]
"""Does something in so many seconds, once."""


def in_running_loop(seconds: float, look: Callable[[], None]) -> Handle:
    """Later in the loop that runs now. Raises RuntimeError where none does."""
    return asyncio.get_running_loop().call_later(seconds, look)


class AgeTimer:
    """Calls `close_due` when what waits comes of age, as long as anything waits.

    `due_in` gives the seconds until then, None where nothing waits. An exception of `close_due` is given to `defect`, and
    the timer goes on: what waits would wait for the end otherwise.
    """

    def __init__(
        self,
        *,
        due_in: Callable[[], float | None],
        close_due: Callable[[], object],
        defect: Callable[[Exception], object],
        later: Later = in_running_loop,
    ) -> None:
        self._due_in = due_in
        self._close_due = close_due
        self._defect = defect
        self._later = later
        self.handle: Handle | None = None
        """None while nothing comes of age: whoever adds an item then calls `set`. Looked at for every item."""

    def set(self) -> None:
        """Looks again when the oldest comes of age; does nothing where it will anyway, or where nothing waits."""
        if self.handle is None:
            due = self._due_in()
            if due is not None:
                self.handle = self._later(max(due, LEAST_SECONDS), self._look)

    def rest(self) -> None:
        """Nothing comes of age any more, until `set` is called."""
        if self.handle is not None:
            self.handle.cancel()
            self.handle = None

    def _look(self) -> None:
        self.handle = None
        try:
            self._close_due()
        except Exception as error:
            self._defect(error)
        finally:
            self.set()
