"""Who waits for a connection of a pool is counted, however the waiting ends."""

import asyncio

import pytest

from ingest_server.errors import Unavailable
from ingest_server.postgres.connections import pool as room
from ingest_server.postgres.connections.pool import connection, pool_until_done, waiting_for


async def test_who_waits_for_a_connection_is_counted(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with pool_until_done(database, size=1, statement_seconds=10) as pool:
        inside, go_on = asyncio.Event(), asyncio.Event()

        async def use() -> None:
            async with connection(pool):
                inside.set()
                await go_on.wait()

        first = asyncio.create_task(use(), name="the one connection's user")
        await inside.wait()
        assert waiting_for(pool) == 0
        second = asyncio.create_task(use(), name="who waits")
        await asyncio.sleep(0)
        assert waiting_for(pool) == 1
        monkeypatch.setattr(room, "_ACQUIRE_SECONDS", 0.001)
        with pytest.raises(Unavailable):
            async with connection(pool):
                raise AssertionError("there is one connection only")
        assert waiting_for(pool) == 1
        go_on.set()
        await asyncio.gather(first, second)
        assert waiting_for(pool) == 0
