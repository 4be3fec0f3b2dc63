"""What an operator is warned of while the server still takes batches: logged when it begins and when it ends."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ingest_server.telemetry.ground import Facts, Ground, log

_ENDS_BELOW = 0.9
"""A warning ends below this share of its limit, so that a figure at the limit does not fill the log."""


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    limit: float
    includes_limit: bool
    text: Callable[[float], str]

    def is_over(self, value: float, *, is_on: bool) -> bool:
        if is_on:
            return value >= self.limit * _ENDS_BELOW
        return value >= self.limit if self.includes_limit else value > self.limit


_KINDS = (
    _Kind("queue", 0.8, True, lambda share: f"the queue is {share:.0%} full; at 100% batches are answered 503"),
    _Kind("lag", 5.0, False, lambda age: f"the oldest batch has been waiting for its commit for {age:.1f} s"),
    _Kind("errors", 0.01, False, lambda share: f"{share:.1%} of the items of the last 5 minutes are dead letters"),
    _Kind("memory", 0.8, False, lambda share: f"resident memory is at {share:.0%} of its limit; past it is 503"),
)


class WarningFacts(Facts):
    """Warnings."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._active: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._warning = ground.gauge("ingest_warning", "1 while this warning is on", "warning")
        for kind in _KINDS:
            self._warning.labels(kind.name).set(0)
        self._lag = ground.histogram(
            "ingest_event_loop_lag_seconds",
            "By how much the event loop was late for an appointment",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        )

    def event_loop_was_late(self, seconds: float) -> None:
        """The event loop kept an appointment so many seconds late."""
        self._lag.observe(seconds)

    def measured(self, *, queue: float, lag: float, errors: float, memory: float) -> None:
        """How full, old, faulty and large things are now: shares of 1, `lag` in seconds. Every change is logged once."""
        values = {"queue": queue, "lag": lag, "errors": errors, "memory": memory}
        for kind in _KINDS:
            value, was_on = values[kind.name], kind.name in self._active
            is_on = kind.is_over(value, is_on=was_on)
            if is_on:
                self._active[kind.name] = kind.text(value)
            if is_on and not was_on:
                self._since[kind.name] = self._ground.clock()
                log.warning("warning: %s", kind.text(value), extra={"warning": kind.name})
            elif was_on and not is_on:
                text, seconds = self._active.pop(kind.name), self._ground.clock() - self._since.pop(kind.name)
                log.warning("over after %.1f s: %s", seconds, text, extra={"warning": kind.name})
            self._warning.labels(kind.name).set(is_on)

    @property
    def warnings(self) -> Sequence[str]:
        """What is to be warned of now, in words."""
        return tuple(self._active.values())
