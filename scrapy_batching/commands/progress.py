"""How far the sending is, for a person at a terminal."""

import sys
import time

from scrapy_batching.leftovers.telemetry import LeftoverTelemetry

_TELL_SECONDS = 0.2
_WIDTH = 20


class Progress:
    """One line on a terminal that is written over; elsewhere nothing."""

    telemetry: LeftoverTelemetry

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._last = 0.0

    def show(self) -> None:
        """Says how far it is, a few times a second at most."""
        if not self._is_shown or time.monotonic() - self._last < _TELL_SECONDS:
            return
        self._last = time.monotonic()
        counts, problem = self.telemetry.counts, self.telemetry.problem
        done, found = counts["items/delivered"] + counts["items/refused"], counts["items/found"]
        bar = "█" * (_WIDTH * done // max(found, 1))
        text = f"{bar:░<{_WIDTH}} {done} of {found} items" + (f" · {problem}" if problem else "")
        sys.stderr.write(f"\r\x1b[K{text[:118]}")
        sys.stderr.flush()

    def end(self) -> None:
        """Takes the line away."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
