"""How a fact is written to the log: a line of text on a terminal, a JSON object a line elsewhere. Never an item's content."""

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import TextIO

import orjson

FIELDS = ("batch", "table", "crawl", "warning", "peer", "method", "path", "status", "bytes", "seconds")
"""What a JSON line may say apart from time, level, logger and message, in this order."""


def write_logs(level: str, form: str, *, output: TextIO | None = None) -> None:
    """Send every logger's lines to standard error. `form`: text, json, or auto, which looks whether it is a terminal."""
    output = output or sys.stderr
    is_text = form == "text" or (form == "auto" and output.isatty())
    handler = logging.StreamHandler(output)
    handler.setFormatter(Text() if is_text else Json())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class _Contentless(logging.Formatter):
    """An error's text may hold an item (PostgreSQL quotes values): of an exception only type and place are written."""

    def formatException(self, ei: object) -> str:  # noqa: N802  logging's own name
        """The exception's type and where it came from, innermost last."""
        assert isinstance(ei, tuple)
        kind, _, trace = ei
        frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]
        return f"{getattr(kind, '__name__', kind)} at {' → '.join(frames) or 'an unknown place'}"


class Text(_Contentless):
    """A fact is one line: a table may be named with a line end, and must not write a line of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line, with what cannot be printed escaped."""
        text = super().formatMessage(_with_message(self, record))
        if record.exc_info:
            text = f"{text}: {self.formatException(record.exc_info)}"
        return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


class Json(_Contentless):
    """One object a line. Times are RFC 3339 in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fact: dict[str, object] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _sound(record.getMessage()),
        }
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                fact[name] = _sound(value) if isinstance(value, str) else value
        if record.exc_info:
            fact["error"] = self.formatException(record.exc_info)
        return orjson.dumps(fact).decode()


def _with_message(formatter: logging.Formatter, record: logging.LogRecord) -> logging.LogRecord:
    record.message = record.getMessage()
    record.asctime = formatter.formatTime(record, formatter.datefmt)
    return record


def _sound(text: str) -> str:
    """Text that UTF-8 can hold: a path of the system may bring half a character."""
    return text.encode(errors="backslashreplace").decode()
