"""Faults of processes: killed, asked to end, stopped, started twice, restarted in a loop."""

import asyncio
import random
import signal

from loadtests.faults.crawls import Run
from loadtests.faults.database import away
from loadtests.faults.fault import Fault
from loadtests.faults.hang import SCRAPYS
from loadtests.faults.needs import Needs
from loadtests.faults.proxy import HoldAnswers, Through
from loadtests.faults.servers import Server
from loadtests.faults.situations import SENDER_ITEMS, ended, extra, has_rows, journaled, quiet, until
from loadtests.faults.world import SPLIT_ITEMS, World

_STOPPED_SECONDS = (1.0, 4.0)
_ASKED_AFTER_SECONDS = (5, 15)
_EXPLAINS_SECONDS = 0.5
_SHOWN = 6000
_COMMIT = b"COMMIT\0"
_TAKEN = b"HTTP/1.1 2"


async def kill_server(world: World, chance: random.Random) -> None:
    await _ended(chance.choice(world.servers), signal.SIGKILL)


async def kill_server_in_outage(world: World, chance: random.Random) -> None:
    """While PostgreSQL is away, so that every worker holds a batch."""
    server = chance.choice(world.servers)
    async with server.changing:
        async with away(world):
            await journaled(world)
            await asyncio.sleep(chance.uniform(0, 1))
            server.strike(signal.SIGKILL)
            await server.gone()
        await server.start()


async def term_server(world: World, chance: random.Random) -> None:
    await _ended(chance.choice(world.servers), signal.SIGTERM)


async def two_terms_server(world: World, chance: random.Random) -> None:
    """The second signal cuts the drain short; it may come before the first is looked at."""
    server = chance.choice(world.servers)
    async with server.changing:
        server.strike(signal.SIGTERM)
        await asyncio.sleep(chance.uniform(0, 0.3))
        server.strike(signal.SIGTERM)
        await server.gone()
        await server.start()


async def stop_server(world: World, chance: random.Random) -> None:
    server = chance.choice(world.servers)
    async with server.changing:
        server.strike(signal.SIGSTOP)
        await asyncio.sleep(chance.uniform(*_STOPPED_SECONDS))
        server.strike(signal.SIGCONT)
        assert server.program is not None
        server.program.was_struck = False


async def kill_one_of_two(world: World, chance: random.Random) -> None:
    """It stays away for a while: the other one goes on alone."""
    server = chance.choice(world.servers)
    async with server.changing:
        server.strike(signal.SIGKILL)
        await server.gone()
        await asyncio.sleep(chance.uniform(1, 3))
        await server.start()


async def restart_loop(world: World, chance: random.Random) -> None:
    """Killed again and again, sometimes before it listens."""
    server = chance.choice(world.servers)
    async with server.changing:
        for _ in range(4):
            server.strike(chance.choice((signal.SIGKILL, signal.SIGTERM)))
            await server.gone()
            await server.spawn()
            await asyncio.sleep(chance.uniform(0.2, 2.0))
        server.strike(signal.SIGKILL)
        await server.gone()
        await server.start()


async def double_start(world: World, chance: random.Random) -> None:
    """The same command once more, beside the running one: it must refuse, and harm nothing."""
    server = chance.choice(world.servers)
    async with server.changing:
        twin = await server.twin()
        try:
            async with asyncio.timeout(30):
                if await twin.wait() == 0:
                    world.breach(f"{server.name} was started twice, and the second one ended with exit code 0")
        except TimeoutError:
            await twin.end(5)
            world.breach(f"{server.name} was started twice, and the second one stayed")


async def kill_crawl(world: World, chance: random.Random) -> None:
    await _crawl(world, chance, signal.SIGKILL)


async def term_crawl(world: World, chance: random.Random) -> None:
    await _crawl(world, chance, signal.SIGTERM)


async def two_terms_crawl(world: World, chance: random.Random) -> None:
    await _crawl(world, chance, signal.SIGTERM, signal.SIGTERM)


async def kill_after_commit(world: World, chance: random.Random) -> None:
    """PostgreSQL has committed a batch, the answer is held back, and the server dies: the journal gives the batch once more."""
    assert world.sql_proxy is not None
    async with world.changing_all():
        async with quiet(world):
            world.sql_proxy.behave(HoldAnswers(_COMMIT))
            try:
                sender = await extra(world, "sender", SENDER_ITEMS)
                await until(world, "a batch that is committed without an answer", lambda: has_rows(world, sender))
                await asyncio.sleep(chance.uniform(0, 0.3))
                for server in world.servers:
                    server.strike(signal.SIGKILL)
                    await server.gone()
            finally:
                world.sql_proxy.behave(Through())
            await asyncio.gather(*(server.start() for server in world.servers))
        await ended(world, sender)


async def raise_limit(world: World, chance: random.Random) -> None:
    """Crawls that have just begun to send by halves are killed, and the server that comes next takes whole batches.

    One more crawl has delivered a half for certain, and was not told: its batches are full, and none is taken whole.
    """
    async with world.changing_all():
        await _restarted(world, ["--max-batch-items", str(SPLIT_ITEMS)])
        for proxy in world.http_proxies:
            proxy.behave(HoldAnswers(_TAKEN))
        try:
            crawl = await extra(
                *(world, "crawl", 4000), BATCHING_BATCH_ITEMS=500, BATCHING_BATCH_AGE=60, BATCHING_CONCURRENCY=1
            )
            await until(world, "half of a batch that is delivered", lambda: has_rows(world, crawl))
            await asyncio.sleep(chance.uniform(0, 0.03))
            for slot in world.everyone:
                if slot.kind == "crawl" and slot.running is not None:
                    slot.running.program.strike(signal.SIGKILL)
            await crawl.runs[-1].program.wait()
        finally:
            for proxy in world.http_proxies:
                proxy.behave(Through())
        await _restarted(world, [])


async def _restarted(world: World, words: list[str]) -> None:
    for server in world.servers:
        server.strike(signal.SIGKILL)
        await server.gone()
        server.more = words
        await server.start()


async def _ended_or_told_again(world: World, run: Run) -> None:
    """Scrapy 2.19 may hang after one SIGTERM while start() yields items, with our add-on or without: see docs/durability.md.

    Whatever else holds a crawl up is a breach, with what it says about itself.
    """
    explained = ""
    for seconds in _ASKED_AFTER_SECONDS:
        try:
            async with asyncio.timeout(seconds):
                await run.program.wait()
                return
        except TimeoutError:
            said = run.program.log.stat().st_size
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            run.program.hold(number)
            await asyncio.sleep(_EXPLAINS_SECONDS)
        explained = run.program.log.read_bytes()[said:].decode(errors="replace")
        if SCRAPYS in explained:
            world.scrapy_hangs += 1
            break
    else:
        seconds = sum(_ASKED_AFTER_SECONDS)
        world.breach(f"{run.crawl} did not end within {seconds} s after SIGTERM: {explained[-_SHOWN:]}")
    run.program.strike(signal.SIGTERM)


async def stop_crawl(world: World, chance: random.Random) -> None:
    slot = world.crawling(chance)
    async with slot.changing:
        run = slot.running
        if run is not None:
            run.program.strike(signal.SIGSTOP)
            await asyncio.sleep(chance.uniform(*_STOPPED_SECONDS))
            run.program.strike(signal.SIGCONT)


async def _ended(server: Server, number: signal.Signals) -> None:
    async with server.changing:
        server.strike(number)
        await server.gone()
        await server.start()


async def _crawl(world: World, chance: random.Random, *numbers: signal.Signals) -> None:
    slot = world.crawling(chance)
    async with slot.changing:
        run = slot.running
        for number in numbers:
            if run is not None:
                run.program.strike(number)
                await asyncio.sleep(chance.uniform(0, 0.5))
        if run is not None and numbers == (signal.SIGTERM,):
            await _ended_or_told_again(world, run)


FAULTS = (
    Fault("server-kill", kill_server),
    Fault("server-kill-in-outage", kill_server_in_outage),
    Fault("server-term", term_server),
    Fault("server-two-terms", two_terms_server),
    Fault("server-stop", stop_server),
    Fault("one-of-two-kill", kill_one_of_two, Needs(servers=2)),
    Fault("restart-loop", restart_loop),
    Fault("double-start", double_start),
    Fault("crawl-kill", kill_crawl, Needs(kills_crawls=True), strikes=2),
    Fault("crawl-term", term_crawl, strikes=2),
    Fault("crawl-two-terms", two_terms_crawl, Needs(kills_crawls=True), strikes=2),
    Fault("crawl-stop", stop_crawl),
    Fault("kill-after-commit", kill_after_commit, Needs(sql_proxy=True)),
    Fault("limit-raised", raise_limit, Needs(http_proxy=True, kills_crawls=True)),
)
