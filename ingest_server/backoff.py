"""Exponential back-off with full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before try number `attempt` (from 0), in seconds."""

    base: float = 0.1
    cap: float = 10.0

    def seconds(self, attempt: int, chance: Callable[[float, float], float]) -> float:
        """Anything between nothing and base · 2^attempt, at most cap. `chance` is random.uniform or a test's own."""
        return chance(0.0, min(self.cap, self.base * 2.0 ** min(attempt, 32)))
