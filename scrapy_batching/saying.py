"""What the package says in the log, said so that a user's logging cannot hurt a crawl."""

import logging
import sys
import traceback
from contextlib import suppress
from typing import Any, ClassVar


class SafeLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose calls never raise, though a handler or a filter does: logging guards against neither.

    A line of WARNING and above that was stopped so goes to standard error, the first with the traceback. With
    `logging.raiseExceptions` False nothing is said, as everywhere in logging.
    """

    _is_told: ClassVar[bool] = False

    def log(self, level: int, msg: object, *args: object, **more: Any) -> None:
        """Says a line; what `logging.Logger.log` takes."""
        try:
            # The line is its caller's and not this one's.
            self.logger.log(level, msg, *args, stacklevel=2, **more)
        except Exception as error:
            # Standard error may be closed, or the line itself what could not be said.
            with suppress(Exception):
                self._tell(error, level, str(msg) % args)

    def _tell(self, error: Exception, level: int, line: str) -> None:
        if not logging.raiseExceptions:
            return
        if not SafeLogger._is_told:
            SafeLogger._is_told = True
            raised = "".join(traceback.format_exception(error))
            sys.stderr.write(
                f"batching: a logging handler or filter raised; lines that it stopped follow here\n{raised}"
            )
        if level >= logging.WARNING:
            sys.stderr.write(f"{logging.getLevelName(level)}: {line}\n")


def logger_of(name: str) -> SafeLogger:
    """The logger with this name."""
    return SafeLogger(logging.getLogger(name), None)
