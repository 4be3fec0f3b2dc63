"""The scenario finds what it looks for: an item that is gone, one that is there twice, one that was buried."""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager

import pytest

from loadtests.faults.postgres import Postgres, reachable_directory
from loadtests.outages.faults import FAULTS, Fault
from loadtests.outages.run import Outcome, measured


@pytest.fixture(scope="module")
def directory() -> Iterator:
    with reachable_directory("outages-test-") as found:
        yield found


async def outcome(directory, fault: Fault, number: int) -> Outcome:
    postgres = Postgres(directory / "postgres")
    await postgres.start()
    try:
        return await measured(fault, postgres, None, number=number, seed=1, seconds=0.3)
    finally:
        await postgres.stop()


async def test_a_fault_is_struck_mended_and_counted(directory) -> None:
    found = await outcome(directory, next(one for one in FAULTS if one.name == "missing table"), 1)
    assert found.is_well
    assert (found.lost, found.twice, found.buried) == (0, 0, 0)
    assert found.items > 0
    assert found.waiting > 0
    assert found.all_settled >= found.resumed > 0


async def test_what_is_lost_twice_or_buried_is_found(directory) -> None:
    @asynccontextmanager
    async def worse(place):
        yield
        await place.execute(
            "CREATE TABLE gone AS SELECT min(id) AS one FROM plain; DELETE FROM plain WHERE id = (SELECT one FROM gone);"
            "INSERT INTO plain SELECT * FROM plain WHERE id = (SELECT min(id) FROM plain);"
            "ALTER TABLE keyed ADD CHECK (id < 0) NOT VALID"
        )
        await place.until("ingest_dead_letters_total", 1)
        await place.execute("ALTER TABLE keyed DROP CONSTRAINT keyed_id_check")
        async with asyncio.timeout(10):
            async with place.http.post(f"{place.url}/v1/tables/keyed/resume") as answer:
                assert answer.status == 200

    found = await outcome(directory, Fault("worse", "none", worse), 2)
    assert not found.is_well
    assert (found.lost, found.twice) == (1, 1)
    assert found.buried >= 50
