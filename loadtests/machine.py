"""What the figures were measured on: they mean little without it."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

_PACKAGES = (
    "asyncpg",
    "aiohttp",
    "pydantic",
    "msgspec",
    "orjson",
    "uvloop",
    "scrapy",
    "psycopg",
    "scrapy-batching",
)


def machine() -> dict[str, str | int | float]:
    """Processor, cores, memory in bytes, and the load average of the last minute (what else was running)."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 0,
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "load_average": round(psutil.getloadavg()[0], 2),
    }


def versions(postgres: str) -> dict[str, str]:
    found = {"python": platform.python_version(), "postgres": postgres}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
