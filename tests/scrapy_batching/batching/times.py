"""Time that tests move by hand, and a `process` that they let go on by hand."""

import asyncio
import itertools


class Time:
    """A clock and its timers; nothing happens but in `advance`."""

    def __init__(self):
        self.now = 100.0
        self._timers = {}
        self._numbers = itertools.count()

    def __call__(self):
        return self.now

    def later(self, seconds, look):
        number = next(self._numbers)
        self._timers[number] = (self.now + seconds, look)
        return Handle(lambda: self._timers.pop(number, None))

    @property
    def set(self):
        return len(self._timers)

    async def advance(self, seconds):
        """Lets time pass, and what comes of it be done."""
        end = self.now + seconds
        while due := [(at, number) for number, (at, _look) in self._timers.items() if at <= end]:
            at, number = min(due)
            self.now = max(self.now, at)
            self._timers.pop(number)[1]()
            await turns()
        self.now = end


class Handle:
    def __init__(self, cancel):
        self.cancel = cancel


class Gate:
    """A `process` that doubles numbers, each call when it is let; a call's items and its order are kept."""

    def __init__(self):
        self.calls = []
        self.waiting = []
        self.most = 0

    async def __call__(self, items):
        self.calls.append(items)
        answer = asyncio.get_running_loop().create_future()
        self.waiting.append((items, answer))
        self.most = max(self.most, len(self.waiting))
        try:
            return await answer
        finally:
            self.waiting.remove((items, answer))

    async def let(self, outcome="good", nth=0):
        """Lets the nth call that waits go on. Whether there is one."""
        if nth >= len(self.waiting):
            return False
        items, answer = self.waiting[nth]
        if answer.done():
            return False
        if outcome == "good":
            answer.set_result([2 * item for item in items])
        elif outcome == "odd fail":
            answer.set_result([ValueError(item) if item % 2 else 2 * item for item in items])
        elif outcome == "short":
            answer.set_result([2 * item for item in items[1:]])
        elif outcome == "cancel":
            answer.cancel()
        else:
            answer.set_exception(OSError("away"))
        await turns()
        return True


async def turns(count=12):
    """Lets whatever can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


async def doubled(items):
    return [2 * item for item in items]
