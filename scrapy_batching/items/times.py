"""Times as text: RFC 3339 and ISO 8601, with what those cannot say told apart."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from scrapy_batching.items.altered import NO_TIME, NO_ZONE, ODD_OFFSET, Altered

_isoformat = datetime.isoformat
# With seconds in the offset, of which only dates before 1972 have any: +01:00:17, and with a fraction of one.
_ODD_LENGTHS = frozenset({28, 35, 42})


def moment(value: datetime) -> str | Altered:
    """RFC 3339, without an offset where it is naive. An offset with seconds cannot be said, so that it is moved to UTC."""
    text = _isoformat(value)
    if len(text) in _ODD_LENGTHS:
        try:
            return Altered(_isoformat(value.astimezone(UTC)), ODD_OFFSET)
        except OverflowError:  # at the very ends of the calendar: then with its seconds
            return text
    return text


def subclassed_moment(value: datetime) -> str | Altered:
    """The same, whatever the subclass makes of isoformat; with pandas' nanoseconds, and without its NaT."""
    if value != value:
        return Altered(None, NO_TIME)
    nanoseconds: Any = getattr(value, "nanosecond", 0)
    if isinstance(nanoseconds, int) and nanoseconds:
        return value.isoformat()
    return moment(value)


def time_of_day(value: time) -> str | Altered:
    """RFC 3339's time, with its offset where it has one."""
    text = time.isoformat(value)
    return Altered(text, NO_ZONE) if value.tzinfo is not None and value.utcoffset() is None else text


def subclassed_duration(value: timedelta) -> str:
    """As `duration`, with pandas' nanoseconds."""
    nanoseconds: Any = getattr(value, "nanoseconds", 0)
    return duration(value, nanoseconds if isinstance(nanoseconds, int) else 0)


def duration(value: timedelta, nanoseconds: int = 0) -> str:
    """ISO 8601: `P1DT2H3M4.5S`, with a leading minus where the whole is negative. `nanoseconds`: 0 to 999 on top."""
    return duration_of((value.days * 86_400 + value.seconds) * 10**9 + value.microseconds * 1000 + nanoseconds)


def duration_of(nanoseconds: int) -> str:
    """The same for so many nanoseconds."""
    whole, rest = divmod(abs(nanoseconds), 10**9)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    day = f"{days}D" if days else ""
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M")) if n)
    if seconds or fraction or not (day or clock):
        clock += f"{seconds}{fraction}S"
    return f"{'-' if nanoseconds < 0 else ''}P{day}{'T' if clock else ''}{clock}"
