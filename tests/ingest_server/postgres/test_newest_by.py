"""`newest_by` against a reference: whatever order batches come in, and however many workers write them."""

import asyncio
import random
from datetime import timedelta

import asyncpg
import pytest

from ingest_server.errors import Contended
from ingest_server.model import Mode, TableOptions
from tests.ingest_server.postgres.stores import store_over
from tests.ingest_server.postgres.test_counts import counts
from tests.make import NOON, batch

NEWEST = {"things": TableOptions(Mode.UPSERT, newest_by="at")}


def item(key: int, minutes: int | None, value: str) -> dict[str, object]:
    return {"id": key, "at": None if minutes is None else (NOON + timedelta(minutes=minutes)).isoformat(), "v": value}


@pytest.fixture
async def things(sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY, at timestamptz, v text, w text DEFAULT 'd')")


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize(
    ("there", "comes", "wins"),
    [
        (1, 2, True),
        (2, 1, False),
        (1, 1, True),  # on equal values the later arrival wins
        (None, 1, True),
        (1, None, False),  # NULL is oldest
        (None, None, True),
    ],
)
async def test_a_late_retry_does_not_overwrite_newer_data(
    database: str, sql: asyncpg.Connection, there: int | None, comes: int | None, wins: bool
) -> None:
    async with store_over(database, options=NEWEST) as store:
        await store.write(batch(item(1, there, "there")))
        settled = await store.write(batch(item(1, comes, "comes")))
        assert counts(settled) == ((0, 1, 0, 0) if wins else (0, 0, 1, 0))
        assert await sql.fetchval("SELECT v FROM things") == ("comes" if wins else "there")
        # and within one batch, in one group of columns and in two
        await store.write(batch(item(2, there, "there"), item(2, comes, "comes")))
        await store.write(batch(item(3, there, "there"), item(3, comes, "comes") | {"w": "x"}))
        expected = "comes" if wins else "there"
        assert [row["v"] for row in await sql.fetch("SELECT v FROM things WHERE id > 1")] == [expected, expected]


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize("seed", range(6))
async def test_four_workers_and_shuffled_batches_end_like_the_reference(
    database: str, sql: asyncpg.Connection, seed: int
) -> None:
    # Batches whose items fill different columns are written group by group, so that deadlocks are part of this test.
    await sql.execute(f"ALTER DATABASE {await sql.fetchval('SELECT current_database()')} SET deadlock_timeout = '10ms'")
    chance = random.Random(seed)
    clock = iter(range(10_000))
    items = [item(chance.randrange(30), next(clock), str(number)) for number in range(600)]
    items += [item(chance.randrange(30, 40), None, str(number)) for number in range(30)]
    reference: dict[object, object] = {}
    for one in items[:600]:
        reference[one["id"]] = one["v"]  # their times rise
    for one in items:
        if chance.random() < 0.3:
            one["w"] = "x"
    chance.shuffle(items)
    waiting = [items[start : start + 20] for start in range(0, len(items), 20)]
    totals = [0, 0, 0, 0]
    async with store_over(database, options=NEWEST) as store:

        async def work() -> None:
            while waiting:
                one = batch(*waiting.pop())
                while True:
                    try:
                        settled = await store.write(one)
                    except Contended:  # the loser of a deadlock
                        continue
                    break
                for place, count in enumerate(counts(settled)):
                    totals[place] += count

        await asyncio.gather(*(work() for _ in range(4)))
    rows = {row["id"]: row["v"] for row in await sql.fetch("SELECT id, v FROM things WHERE id < 30")}
    assert rows == reference
    assert sum(totals) == len(items)
    assert totals[0] == await sql.fetchval("SELECT count(*) FROM things")
    assert totals[3] == 0
