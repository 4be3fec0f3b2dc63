"""Looks up 150 places, 50 a call, with an API that answers 429 to whoever asks too often."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from scrapy_batching import Batcher, BatchResult

Place = dict[str, Any]


class TooOften(Exception):
    """The API asks to come back in so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"in {seconds} s")
        self.seconds = seconds


async def look_up(url: str, names: list[str], pause: Callable[[float], Awaitable[object]]) -> list[Place]:
    """The places with these names, in their order."""
    places: list[Place] = []

    async with aiohttp.ClientSession() as session:

        async def ask(names: list[str]) -> list[Place]:
            async with session.post(url, json=names) as answer:
                if answer.status == 429:
                    raise TooOften(float(answer.headers["Retry-After"]))
                answer.raise_for_status()
                found: list[Place] = await answer.json()
                return found

        async def take(result: BatchResult[Place, str]) -> None:
            while result.failed:
                _name, error = result.failed[0]
                if not isinstance(error, TooOften):
                    raise error
                await pause(error.seconds)
                result = await batcher.retry(result)
            places.extend(result.successful)

        async with Batcher(ask, batch_size=50, max_wait_time=5.0) as batcher:
            for name in names:
                if result := await batcher.add(name):
                    await take(result)
            if result := await batcher.flush():
                await take(result)

    return places


if __name__ == "__main__":
    wanted = [f"place {n}" for n in range(150)]
    for place in asyncio.run(look_up(sys.argv[1], wanted, asyncio.sleep)):
        print(place["name"], place["latitude"], place["longitude"])
