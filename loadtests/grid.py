"""What the scenario `ingest` measures, and how much of it."""

from dataclasses import dataclass

from loadtests.ceiling import Mode

WARM_UP_BATCH = 10
"""Items in each request of the warm-up, one request for each that is later in flight."""

_MOST_BATCHES = 1_000


@dataclass(frozen=True, slots=True)
class Grid:
    """The options of the command line, with the defaults of a full run."""

    batch_sizes: tuple[int, ...] = (10, 50, 100, 500, 1000)
    workers: tuple[int, ...] = (1, 2, 4, 8)
    shapes: tuple[str, ...] = ("wide",)
    items: int = 60_000
    rounds: int = 5
    mode: Mode = "append"
    in_flight: int = 16
    changed: float = 0.0
    unchanged: float = 0.0
    seed: int = 1

    @property
    def cells(self) -> int:
        return len(self.batch_sizes) * len(self.workers) * len(self.shapes)

    @property
    def warm_up(self) -> int:
        """Items before the clock."""
        return self.in_flight * WARM_UP_BATCH

    def items_of(self, batch_size: int) -> int:
        """Items on the clock. Of small batches not all are sent: a cell shall not take longer because it is slow."""
        return min(self.items, batch_size * _MOST_BATCHES)


QUICK = Grid(batch_sizes=(100, 500), workers=(1, 4), items=20_000, rounds=2)
