"""Faults of the network: between crawl and server (HTTP), and between server and PostgreSQL (SQL)."""

import asyncio
import random
from collections.abc import Callable

from loadtests.faults.fault import Fault, Strike
from loadtests.faults.needs import Needs
from loadtests.faults.proxy import (
    AnswerWith,
    Behaviour,
    Delay,
    LoseAnswers,
    Proxy,
    Reset,
    Silent,
    Through,
    TruncateRequests,
)
from loadtests.faults.world import World

_SECONDS = (1.0, 5.0)
_NEEDS_HTTP = Needs(http_proxy=True)
_NEEDS_SQL = Needs(sql_proxy=True)

Chosen = Callable[[random.Random], Behaviour]


def http(chosen: Chosen) -> Strike:
    """A while of this behaviour in front of one server."""

    async def strike(world: World, chance: random.Random) -> None:
        await _behave(chance.choice(world.http_proxies), chosen(chance), chance.uniform(*_SECONDS))

    return strike


def sql(chosen: Chosen) -> Strike:
    """A while of this behaviour in front of PostgreSQL."""

    async def strike(world: World, chance: random.Random) -> None:
        assert world.sql_proxy is not None
        await _behave(world.sql_proxy, chosen(chance), chance.uniform(*_SECONDS))

    return strike


def bursts(strike: Strike, count: int) -> Strike:
    """The same several times, with short pauses."""

    async def struck(world: World, chance: random.Random) -> None:
        for _ in range(count):
            await strike(world, chance)
            await asyncio.sleep(chance.uniform(0.05, 0.5))

    return struck


async def _reset_sql(world: World, chance: random.Random) -> None:
    """All connections at once, now and then between COMMIT and its answer."""
    assert world.sql_proxy is not None
    await _behave(world.sql_proxy, Reset(), chance.uniform(0.01, 0.2))


async def _reset_http(world: World, chance: random.Random) -> None:
    await _behave(chance.choice(world.http_proxies), Reset(), chance.uniform(0.01, 0.5))


async def _behave(proxy: Proxy, behaviour: Behaviour, seconds: float) -> None:
    proxy.behave(behaviour)
    try:
        await asyncio.sleep(seconds)
    finally:
        proxy.behave(Through())


def _of(behaviour: Behaviour) -> Chosen:
    return lambda _: behaviour


FAULTS = (
    Fault("http-slow", http(lambda chance: Delay(chance.uniform(0.1, 1.0))), _NEEDS_HTTP),
    Fault("http-silent", http(_of(Silent())), _NEEDS_HTTP),
    Fault("http-reset", bursts(_reset_http, 4), _NEEDS_HTTP),
    Fault("answers-lost", http(lambda chance: LoseAnswers(chance.choice((1, 2, 3)))), _NEEDS_HTTP),
    Fault("requests-truncated", http(lambda chance: TruncateRequests(chance.choice((1, 2, 3)))), _NEEDS_HTTP),
    Fault(
        "proxy-5xx",
        http(lambda chance: AnswerWith(chance.choice((502, 503, 504)), chance.choice((1, 2)))),
        _NEEDS_HTTP,
    ),
    Fault("database-slow", sql(lambda chance: Delay(chance.uniform(0.02, 0.5))), _NEEDS_SQL),
    Fault("database-silent", sql(_of(Silent())), _NEEDS_SQL),
    Fault("database-reset", bursts(_reset_sql, 4), _NEEDS_SQL),
)
