"""The wall clock of a process, put forward and back from outside while it runs. `time.monotonic` stays: it never jumps."""

import importlib
import mmap
import pkgutil
import struct
import sys
import time
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

_OFFSET = struct.Struct("<d")


def set_clock(file: Path, seconds: float) -> None:
    """From now on processes that were started with `--clock FILE` are so many seconds ahead (or behind)."""
    if not file.exists():
        file.write_bytes(_OFFSET.pack(0.0))
    with file.open("r+b") as opened:
        opened.write(_OFFSET.pack(seconds))


def shift_clock(file: Path) -> None:
    """`time.time` and `time.time_ns` follow the file. To be called before the product is imported."""
    if not file.exists():
        set_clock(file, 0.0)
    with file.open("rb") as opened:
        shared = mmap.mmap(opened.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)
    true_time, true_time_ns = time.time, time.time_ns

    def offset() -> float:
        return float(_OFFSET.unpack(shared[: _OFFSET.size])[0])

    time.time = lambda: true_time() + offset()
    time.time_ns = lambda: true_time_ns() + int(offset() * 1_000_000_000)


def shift_dates(package: str) -> int:
    """`datetime.now` in every module of the package follows `time.time`. Returns in how many modules; there must be some."""
    face = importlib.import_module(package)
    for found in pkgutil.walk_packages(face.__path__, package + "."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)
    shifted = 0
    for name, module in tuple(sys.modules.items()):
        if name.split(".")[0] == package and getattr(module, "datetime", None) is datetime:
            module.datetime = _Shifted  # type: ignore[attr-defined]
            shifted += 1
    if not shifted:
        raise LookupError(
            f"no module of {package} has `from datetime import datetime` any more: see loadtests/faults/clock"
        )
    return shifted


class _Like(type):
    """The class stands for `datetime` but for `now`: what it makes, and what is an instance of it, is a true datetime."""

    def __getattr__(cls, name: str) -> Any:
        return getattr(datetime, name)

    def __call__(cls, *arguments: Any, **named: Any) -> datetime:
        return datetime(*arguments, **named)  # noqa: DTZ001  whatever the caller asked for

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


class _Shifted(metaclass=_Like):
    @staticmethod
    def now(tz: tzinfo | None = None) -> datetime:
        return datetime.fromtimestamp(time.time(), tz)

    @staticmethod
    def utcnow() -> datetime:
        return datetime.fromtimestamp(time.time(), UTC).replace(tzinfo=None)
