"""The world of one round: database, servers, senders and what lies between them; what a fault may touch."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from loadtests.faults.crawls import CrawlWay, Slot
from loadtests.faults.disks import small_disk
from loadtests.faults.hooks import Hooks
from loadtests.faults.needs import Needs
from loadtests.faults.postgres import Postgres
from loadtests.faults.proxy import Proxy
from loadtests.faults.sequence import OPTIONS, TABLES
from loadtests.faults.servers import Server

MEMORY_LIMIT = 512 * 2**20
"""Bytes; what the servers are told, and what they are held to."""

SMALL_DISK = 400 * 2**20
SMALL_POSTGRES = {"max_wal_size": "64MB", "min_wal_size": "32MB", "shared_buffers": "64MB"}
SPLIT_ITEMS = 300
"""Items a batch may have while crawls have to split theirs; a sender's are smaller."""

HEALTHY_SECONDS = 30
_LOOK_SECONDS = 0.25
_MEASURE_SECONDS = 90


@dataclass(slots=True)
class World:
    """Faults find here what they hurt. Whatever is not as it should be, and no count, is a breach."""

    directory: Path
    database: str
    postgres: Postgres
    http: aiohttp.ClientSession
    servers: list[Server] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    extras: list[Slot] = field(default_factory=list)
    """Senders of a fault's own; they are counted as the others are, but nobody waits for their share of the items."""
    breaches: list[str] = field(default_factory=list)
    scrapy_hangs: int = 0
    notes: list[str] = field(default_factory=list)
    """What is no breach, and should be known all the same."""
    seconds_to_healthy: list[float] = field(default_factory=list)
    http_proxies: list[Proxy] = field(default_factory=list)
    sql_proxy: Proxy | None = None
    small: str = ""
    """What lies on the small disk: journal, spool or postgres."""
    small_disk: Path | None = None
    now: str = ""
    """What is going on, for the progress bar."""

    _hurting: int = 0
    _hurts: int = 0
    _probes: int = 0

    def breach(self, said: str) -> None:
        self.breaches.append(said)

    @property
    def items(self) -> int:
        return sum(slot.items for slot in self.slots)

    @property
    def everyone(self) -> list[Slot]:
        return [*self.slots, *self.extras]

    def taken(self) -> int:
        return sum(slot.taken() for slot in self.slots)

    @property
    def clock(self) -> Path:
        return self.directory / "clock"

    @property
    def journal(self) -> Path:
        return self._place("journal")

    @property
    def spool(self) -> Path:
        return self._place("spool")

    def _place(self, name: str) -> Path:
        on_small = self.small_disk is not None and self.small == name
        return (self.small_disk if on_small and self.small_disk else self.directory) / name

    def crawling(self, chance: random.Random) -> Slot:
        """A slot of crawls, one that has a crawl running where there is one."""
        crawls = [slot for slot in self.slots if slot.kind == "crawl"]
        return chance.choice([slot for slot in crawls if slot.running is not None] or crawls)

    @asynccontextmanager
    async def changing_all(self) -> AsyncIterator[None]:
        """Every server is this fault's."""
        async with AsyncExitStack() as stack:
            for server in self.servers:
                await stack.enter_async_context(server.changing)
            yield

    async def progress(self, share: float) -> None:
        """Returns when this share of the items was taken, or nobody sends any more."""
        while self.taken() < share * self.items and not all(slot.is_done for slot in self.slots):  # noqa: ASYNC110  other processes write it
            await asyncio.sleep(_LOOK_SECONDS / 5)

    @asynccontextmanager
    async def hurt(self, what: str) -> AsyncIterator[None]:
        """Around a strike: while one goes on, nobody measures how soon the servers are healthy."""
        self._hurting += 1
        self._hurts += 1
        self.now = what
        try:
            yield
        finally:
            self._hurting -= 1

    async def measure(self, since: float | None = None) -> None:
        """Seconds until every server is healthy; no figure where the next strike comes in between.

        The clock starts with the last server or PostgreSQL that was started after `since`, else now.
        """
        starts = [*(one.started_at for one in self.servers), self.postgres.started_at]
        began = max([at for at in starts if since is not None and at >= since], default=time.monotonic())
        strike = self._hurts
        healed = await asyncio.gather(*(self._healthy(server, began, strike) for server in self.servers))
        if strike == self._hurts and not self._hurting:
            seconds = max(healed)
            self.seconds_to_healthy.append(seconds)
            if seconds > HEALTHY_SECONDS:
                self.breach(f"healthy again after {seconds:.0f} s only")

    async def _healthy(self, server: Server, began: float, strike: int) -> float:
        while time.monotonic() < began + _MEASURE_SECONDS:
            self._probes += 1
            if await server.is_healthy(self.http, self._probes):
                break
            if strike != self._hurts:
                break
            await asyncio.sleep(_LOOK_SECONDS / 5)
        return time.monotonic() - began

    async def watch(self) -> None:
        """Notes the memory of the servers, for ever."""
        while True:
            for server in self.servers:
                server.look()
            await asyncio.sleep(_LOOK_SECONDS)

    def check_memory(self) -> None:
        for server in self.servers:
            if server.rss_peak > MEMORY_LIMIT:
                self.breach(
                    f"{server.name} had {server.rss_peak / 2**20:.0f} MiB, its limit is {MEMORY_LIMIT / 2**20:.0f}"
                )


@asynccontextmanager
async def world(
    directory: Path,
    postgres: Postgres,
    *,
    needs: Needs,
    ports: Sequence[int],
    kinds: Sequence[tuple[str, int]],
    name: str,
    broken: Sequence[str] = (),
) -> AsyncIterator[World]:
    """A database, servers that listen, slots that have not begun. At the end everything is stopped.

    Raises `NotPossible` where this machine does not give what is needed.
    """
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)))
        disk = stack.enter_context(small_disk(SMALL_DISK)) if needs.small_disk else None
        if disk is not None and needs.small_disk == "postgres":
            postgres = Postgres(disk / "cluster", SMALL_POSTGRES)
            stack.push_async_callback(postgres.stop)
            await postgres.start()
        made = World(directory, name, postgres, http, small=needs.small_disk, small_disk=disk)
        await postgres.execute(f"CREATE DATABASE {name}")
        stack.push_async_callback(_dropped, postgres, name)
        await postgres.execute(TABLES, name)
        hooks = Hooks(
            made.journal if needs.power else None,
            made.spool if needs.crawl_power else None,
            made.clock if needs.clock else None,
            broken,
        )
        await _make_servers(made, needs, ports, hooks, stack)
        await asyncio.gather(*(server.start() for server in made.servers))
        for number, (kind, items) in enumerate(kinds):
            front, start = made.servers[number % needs.servers].front, ("items", "requests")[number % 2]
            way = CrawlWay(front, directory, made.spool, hooks.crawl(), start=start)
            slot = Slot(f"{name}-{kind}-{number}", kind, items, way, made.breach)
            made.slots.append(slot)
        stack.push_async_callback(_ended, made)
        watching = asyncio.create_task(made.watch(), name="watch memory")
        stack.callback(watching.cancel)
        yield made


async def _make_servers(made: World, needs: Needs, ports: Sequence[int], hooks: Hooks, stack: AsyncExitStack) -> None:
    """Servers that are not started yet, and the proxies around them."""
    dsn = made.postgres.dsn(made.database)
    if needs.sql_proxy:
        made.sql_proxy = Proxy(made.postgres.socket)
        stack.push_async_callback(made.sql_proxy.stop)
        dsn = made.postgres.dsn(made.database, port=await made.sql_proxy.start())
    config = made.directory / "ingest.toml"
    config.write_text(OPTIONS)
    for number in range(needs.servers):
        words = [
            *(*hooks.server(), "run", "--config", str(config), "--data-dir", str(made.directory / "data")),
            *("--journal-dir", str(made.journal), "--database", dsn, "--memory-limit", str(MEMORY_LIMIT)),
            *("--statement-timeout", "10", "--drain-timeout", "40", "--log-level", "warning"),
        ]
        server = Server(f"server-{number}", ports[number], made.directory, words, made.breach)
        made.servers.append(server)
        stack.push_async_callback(server.stop)
        if needs.http_proxy:
            proxy = Proxy(("127.0.0.1", server.port))
            made.http_proxies.append(proxy)
            stack.push_async_callback(proxy.stop)
            server.front = f"http://127.0.0.1:{await proxy.start()}"


async def _ended(made: World) -> None:
    for run in [run for slot in made.everyone for run in slot.runs]:
        if run.program.code is None:
            await run.program.end(5)
        run.witness.close()


async def _dropped(postgres: Postgres, name: str) -> None:
    with suppress(Exception):  # a PostgreSQL that is gone takes its database with it
        await postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
