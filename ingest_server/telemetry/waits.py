"""How long batches have been on their way: since they were accepted, by whichever server that was."""

import heapq

Name = tuple[str, object]


class Waits:
    """The times at which batches were accepted, on one clock; the oldest is known at once however many there are."""

    def __init__(self) -> None:
        self._began: dict[Name, float] = {}
        self._restored: dict[Name, float] = {}
        self._oldest_restored: list[tuple[float, int, Name]] = []
        self._number = 0

    def begin(self, name: Name, now: float) -> None:
        """A batch is accepted now. What is accepted later stands later, so the first is the oldest."""
        self._began[name] = now

    def resume(self, name: Name, at: float) -> None:
        """A batch that was accepted before came back; in no order, as several journals may."""
        self._restored[name] = at
        self._number += 1  # two names need not compare
        heapq.heappush(self._oldest_restored, (at, self._number, name))

    def end(self, name: Name) -> float | None:
        """The batch is settled, or lost: when it had been accepted, None where nobody said."""
        began = self._began.pop(name, None)
        if began is None:
            began = self._restored.pop(name, None)
            if not self._restored:
                self._oldest_restored.clear()
        return began

    @property
    def oldest(self) -> float | None:
        """When the oldest batch that still waits was accepted."""
        heap = self._oldest_restored
        while heap and self._restored.get(heap[0][2]) != heap[0][0]:
            heapq.heappop(heap)
        first = next(iter(self._began.values()), None)
        return min((one for one in (first, heap[0][0] if heap else None) if one is not None), default=None)
