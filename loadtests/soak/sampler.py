"""One look each interval: memory, handles, connections and sizes, as numbers."""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import asyncpg
import psutil

from loadtests.soak.results import Samples
from loadtests.soak.stand import Stand

_ANSWER_SECONDS = 2.0
_SQL = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ingest-server') AS connections,
       pg_database_size(current_database()) AS database
"""
_LINE = re.compile(r"^(ingest_\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
_SETTLED = "ingest_items_settled_total"


class Sampler:
    """Looks until it is cancelled. What cannot be read, because it is away or stopped, is None in that sample."""

    def __init__(self, stand: Stand, crawl: Callable[[], psutil.Process | None], interval: float, began: float) -> None:
        self._stand = stand
        self._crawl = crawl
        self._interval = interval
        self._began = began
        self._sql: asyncpg.Connection | None = None
        self._last: tuple[float, float] | None = None
        self.samples = Samples()
        self.items = 0
        self.items_per_second = 0.0

    async def run(self) -> None:
        """At each interval; a look that takes longer than one leaves the next out."""
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            try:
                while True:
                    now = time.monotonic()
                    await self._look(http, now)
                    passed = time.monotonic() - now
                    await asyncio.sleep(self._interval - passed % self._interval)
            finally:
                if self._sql is not None:
                    self._sql.terminate()

    async def _look(self, http: aiohttp.ClientSession, now: float) -> None:
        metrics, database, sizes = await asyncio.gather(
            self._metrics(http), self._database(), asyncio.to_thread(self._sizes)
        )
        self.samples.add(
            now - self._began,
            {
                "items_per_second": self._rate(metrics.get(_SETTLED), now),
                "queue_batches": metrics.get("ingest_queue_batches"),
                "queue_bytes": metrics.get("ingest_queue_bytes"),
                **_of_process("server", self._stand.server),
                **_of_process("crawl", self._crawl()),
                **database,
                **sizes,
            },
        )

    def _rate(self, settled: float | None, now: float) -> float | None:
        if settled is None:
            return None
        self.items = int(settled)
        last, self._last = self._last, (now, settled)
        if last is None:
            return None
        self.items_per_second = (settled - last[1]) / (now - last[0])
        return self.items_per_second

    async def _metrics(self, http: aiohttp.ClientSession) -> dict[str, float]:
        found: dict[str, float] = {}
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with http.get(f"{self._stand.url}/metrics") as answer:
                for name, value in _LINE.findall(await answer.text()):
                    found[name] = found.get(name, 0.0) + float(value)
                found.setdefault(_SETTLED, 0.0)
        return found

    async def _database(self) -> dict[str, float | None]:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                if self._sql is None or self._sql.is_closed():
                    self._sql = await asyncpg.connect(self._stand.postgres.dsn())
                (row,) = await self._sql.fetch(_SQL)
                return {name: float(row[name]) for name in ("connections", "database")}
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            if self._sql is not None:
                self._sql.terminate()
                self._sql = None
            return {"connections": None, "database": None}

    def _sizes(self) -> dict[str, float | None]:
        return {
            "journal": size(self._stand.journal),
            "spool": size(self._stand.spool),
            "wal": size(self._stand.wal),
        }


def size(directory: Path) -> float:
    """Bytes of all the files below it; 0 where there is no such directory."""
    total = 0
    for top, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(top) / name).stat().st_size
    return float(total)


def _of_process(name: str, process: psutil.Process | None) -> dict[str, float | None]:
    names = (f"{name}_rss", f"{name}_files", f"{name}_threads")
    try:
        if process is None:
            return dict.fromkeys(names)
        with process.oneshot():
            found = (process.memory_info().rss, process.num_fds(), process.num_threads())
    except psutil.Error:
        return dict.fromkeys(names)
    return dict(zip(names, map(float, found), strict=True))
