"""How often the event loop turned meanwhile."""

import asyncio
from typing import Self


class Rounds:
    """Counts the rounds of the loop inside its block."""

    def __init__(self) -> None:
        self.count = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._turn())
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _turn(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.count += 1
