"""From seconds and counts to figures: the middle, and how far the rounds lie apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one side did: seconds from first start to last answer, seconds of each batch, items by their fate."""

    seconds: float
    latencies: tuple[float, ...]
    items: int
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    @property
    def items_per_second(self) -> float:
        return self.items / self.seconds


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds, in its own unit: a tenth of the rounds lies below `p10`, a tenth above `p90`."""

    median: float
    p10: float
    p90: float


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of `values` lies, on a straight line between the two nearest."""
    if not values:
        raise ValueError("no values, no percentile")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low, high = math.floor(place), math.ceil(place)
    if ordered[low] == ordered[high]:  # also infinities, whose difference is no number
        return ordered[low]
    weight = place - low
    return min(max(ordered[low] * (1 - weight) + ordered[high] * weight, ordered[low]), ordered[high])


def spread(values: Sequence[float]) -> Spread:
    return Spread(percentile(values, 0.5), percentile(values, 0.1), percentile(values, 0.9))


def ratios(ours: Sequence[float], ceiling: Sequence[float]) -> Spread:
    """Ours over the ceiling, each of the same round: what slows the whole machine for a while slows both."""
    return spread([mine / theirs for mine, theirs in zip(ours, ceiling, strict=True)])
